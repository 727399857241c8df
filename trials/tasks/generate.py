"""Images from noise."""

from __future__ import annotations

from trials.trick import Trick


class Generate(Trick):
    """The default."""

    key = "generate"
    group = "task"
    slot = "task"
    summary = "images from noise"
    formula = "x = G(z)"
    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
