"""Latent consistency (zCR of Zhao et al. 2020, arXiv:2002.04724).

    discriminator  + λ_dis E (D(G(z)) − D(G(z + δ)))²,   δ ~ N(0, σ²)
    generator      − λ_gen E ‖G(z) − G(z + δ)‖²

The discriminator must not tell images apart whose z are close; the generator must. The norm is the
mean over an image's numbers, so that λ_gen means the same at every size. With
`consistency_regularisation` and its `fake_weight` (bCR) it is the paper's ICR.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.trick import Trick


def unlikeness(first: Tensor, other: Tensor) -> Tensor:
    """E (a − b)² over all numbers of both; a scalar."""
    return (first - other).square().mean()


class LatentConsistency(Trick):
    """Neighbours in z are judged alike and look different."""

    key = "latent_consistency"
    group = "penalties"
    summary = "judges images of neighbouring z alike, and has the generator tell them apart"
    formula = "D: λ_dis E (D(G(z)) - D(G(z+δ)))²    G: -λ_gen E ‖G(z) - G(z+δ)‖²"
    paper = "Zhao et al. 2020, arXiv:2002.04724"
    conflicts = {
        "infogan": "the noise would change the codes that the images must show",
        "experience_replay": "an earlier generator made its images, and today's their neighbours",
    }
    differences = (
        "The paper's norms are sums over an image; here means, so that one λ_gen serves all sizes.",
    )

    class Config(PartConfig):
        discriminator_weight: float = knob(
            5.0, "λ_dis", ge=0, search={"min": 0.5, "max": 50.0, "distribution": "log_uniform"}
        )
        generator_weight: float = knob(
            0.5, "λ_gen", ge=0, search={"min": 0.05, "max": 5.0, "distribution": "log_uniform"}
        )
        sigma: float = knob(
            0.03, "σ", gt=0, le=10, search={"min": 0.01, "max": 0.3, "distribution": "log_uniform"}
        )

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        with torch.no_grad():
            near = self._near(game, round)
        scores = game.score(game.show(near, real=False), round.fake_labels).score
        weight = self.config.discriminator_weight * round.judges
        return {**terms, self.key: weight * unlikeness(round.f, scores)}

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        far = unlikeness(round.fake, self._near(game, round))
        return {**terms, self.key: -self.config.generator_weight * far}

    def _near(self, game: Game, round: Round) -> Tensor:
        """G(z + δ)."""
        z = round.z
        noise = torch.randn(
            z.shape, generator=game.streams.augmentation, device=z.device, dtype=z.dtype
        )
        moved = z + self.config.sigma * noise
        return game.generate(moved, round.fake_labels, round.condition)
