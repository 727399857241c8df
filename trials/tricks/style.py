"""Style loss (Gatys et al. 2015, arXiv:1508.06576; Johnson et al. 2016, arXiv:1603.08155,
equations 3 and 4).

    G_j(x) = ψ ψᵀ / (C_j H_j W_j),  ψ the activations φ_j(x) as (C_j, H_j W_j)
    w Σ_j ‖G_j(x̂) − G_j(x)‖²_F

φ_j are the activations of the evaluation's feature extractor at its j-th depth. Which features
appear together must agree, wherever they are. Where an image has no true one, means of G_j over a
batch are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trials.part import PartConfig, knob
from trials.toolkit.feature_loss import FeatureLoss


def gram(activations: Tensor) -> Tensor:
    """ψ ψᵀ / (C H W): (N, C, H, W) → (N, C, C)."""
    psi = activations.flatten(2)
    return psi @ psi.transpose(1, 2) / (psi.shape[1] * psi.shape[2])


def distance(grams: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Σ_j E ‖G_j(x̂) − G_j(x)‖²_F of Gram matrices (N, C_j, C_j); a scalar."""
    pairs = zip(grams, targets, strict=True)
    return torch.stack([(made - true).square().sum((1, 2)).mean() for made, true in pairs]).sum()


class Style(FeatureLoss):
    """The same textures as the truth."""

    key = "style"
    summary = "features of what is made must go together as those of what is real do"
    formula = "w Σ_j ‖G_j(x̂) - G_j(x)‖²_F,  G_j = ψψᵀ / (C_j H_j W_j)"
    paper = "Johnson et al. 2016, arXiv:1603.08155"

    class Config(PartConfig):
        weight: float = knob(
            10.0, "w", gt=0, search={"min": 0.1, "max": 1000.0, "distribution": "log_uniform"}
        )

    def described(self, layers: Sequence[Tensor]) -> list[Tensor]:
        return [gram(activations) for activations in layers]

    def distance(self, made: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
        return distance(made, true)
