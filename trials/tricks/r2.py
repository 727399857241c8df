"""R2 (Mescheder et al. 2018, arXiv:1801.04406): a zero-centred penalty on generated images.

    γ/2 · E ‖∇D(G(z))‖²

With R1 and the relativistic loss it makes the recipe of R3GAN (Huang et al. 2024,
arXiv:2501.05441). Taken lazily as R1 is, with `every`. Added since the documents.
"""

from __future__ import annotations

from torch import Tensor

from trials.game import Round
from trials.toolkit.zero_centred import ZeroCentredPenalty


class GeneratedGradientPenalty(ZeroCentredPenalty):
    """R1 for the other side of the table."""

    key = "r2"
    summary = "pulls the discriminator's gradient on generated images to zero"
    formula = "γ/2 E ‖∇D(G(z))‖²"

    def side(self, round: Round) -> tuple[Tensor | None, Tensor | None]:
        return round.seen_fake, round.fake_labels
