"""R2 (Mescheder et al. 2018, arXiv:1801.04406): a zero-centred penalty on generated images.

    γ/2 · E ‖∇D(G(z))‖²

With R1 and the relativistic loss it makes the recipe of R3GAN (Huang et al. 2025,
arXiv:2501.05441). Taken where R1 is (`at`), and lazily as R1 is (`every`).
"""

from __future__ import annotations

from trials.toolkit.zero_centred import ZeroCentredPenalty


class GeneratedGradientPenalty(ZeroCentredPenalty):
    """R1 for the other side of the table."""

    key = "r2"
    summary = "pulls the discriminator's gradient on generated images to zero"
    formula = "γ/2 E ‖∇D(G(z))‖²"
    real = False
