"""Spectral norm regularisation (Yoshida and Miyato 2017, arXiv:1705.10941).

    λ/2 Σ σ(W)²

over the discriminator's layers; σ by power iteration from a vector kept between steps, so that
one iteration a step follows the slowly moving weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.toolkit.memory import written
from trials.toolkit.weights import weight_matrices
from trials.trick import Trick


@torch.no_grad()
def iterated(weight: Tensor, v: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """The left and right singular vectors of σ(W), from `v` (inputs,) by power iteration."""
    for _ in range(iterations):
        u = torch.nn.functional.normalize(weight @ v, dim=0)
        v = torch.nn.functional.normalize(weight.T @ u, dim=0)
    return u, v


def penalty(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """½ σ(W)² with σ = uᵀ W v, differentiable in W; a scalar."""
    return (u @ weight @ v).square() / 2


class SpectralRegularisation(Trick):
    """Asks for small singular values where spectral_norm enforces them."""

    key = "spectral_regularisation"
    group = "penalties"
    summary = "penalises the largest singular value of each discriminator layer"
    formula = "λ/2 Σ σ(W)²"
    paper = "Yoshida and Miyato 2017, arXiv:1705.10941"
    conflicts = {"spectral_norm": "its layers have σ = 1 already, and the penalty is a constant"}

    class Config(PartConfig):
        weight: float = knob(
            0.01, "λ", gt=0, search={"min": 1e-4, "max": 1.0, "distribution": "log_uniform"}
        )
        iterations: int = knob(1, "power iterations a step", ge=1, le=100)

    def prepare(self, game: Game) -> None:
        self.vectors = []
        for matrix in weight_matrices(game.discriminator):
            v = torch.randn(
                matrix.shape[1],
                generator=game.streams.augmentation,
                device=matrix.device,
                dtype=matrix.dtype,
            )
            self.vectors.append(iterated(matrix.detach(), v, 15)[1])

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        values = []
        for index, matrix in enumerate(weight_matrices(game.discriminator)):
            u, v = iterated(matrix.detach(), self.vectors[index], self.config.iterations)
            written(self.vectors[index], v)
            values.append(penalty(matrix, u, v))
        total = self.config.weight * torch.stack(values).sum()
        return {**terms, "spectral_regularisation": total}

    def state(self) -> dict[str, Any]:
        return {"vectors": self.vectors}

    def load_state(self, state: dict[str, Any]) -> None:
        for old, new in zip(self.vectors, state["vectors"], strict=True):
            written(old, new)
