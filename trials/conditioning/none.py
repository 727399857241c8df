"""No labels: the generator maps noise to images, the discriminator sees images alone."""

from __future__ import annotations

from trials.trick import Trick


class Unconditional(Trick):
    """The default."""

    key = "none"
    group = "labels"
    slot = "conditioning"
    summary = "labels are not used"
    formula = "G(z), D(x)"
    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
