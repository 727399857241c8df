"""R1 (Mescheder et al. 2018, arXiv:1801.04406): a zero-centred penalty on real images.

    γ/2 · E ‖∇D(x)‖²

at the images before any augmentation (`at: images`), or as the discriminator sees them. With
`every` > 1 it is taken lazily, every so many discriminator steps with its weight multiplied by that
number (Karras et al. 2020, arXiv:1912.04958, appendix B).
"""

from __future__ import annotations

from trials.toolkit.zero_centred import ZeroCentredPenalty


class RealGradientPenalty(ZeroCentredPenalty):
    """Converges locally where penalties at norm 1 circle around."""

    key = "r1"
    summary = "pulls the discriminator's gradient on real images to zero"
    formula = "γ/2 E ‖∇D(x)‖²"
    real = True
