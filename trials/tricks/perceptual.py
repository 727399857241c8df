"""Perceptual loss (Johnson et al. 2016, arXiv:1603.08155, equation 2).

    w Σ_j ‖φ_j(x̂) − φ_j(x)‖² / (C_j H_j W_j)

φ_j are the activations of the evaluation's feature extractor at its j-th depth. The paper takes
one depth of VGG-16; Liu et al. (arXiv:1804.07723) sum over several, and so does this. Where an
image has no true one it is w Σ_j ‖E φ_j(x̂) − E φ_j(x)‖² / (C_j H_j W_j), means over a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trials.part import PartConfig, knob
from trials.toolkit.feature_loss import FeatureLoss


def distance(layers: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Σ_j E ‖φ_j(x̂) − φ_j(x)‖² / (C_j H_j W_j) of activations (N, C_j, H_j, W_j); a scalar."""
    pairs = zip(layers, targets, strict=True)
    return torch.stack([(made - true).square().mean() for made, true in pairs]).sum()


class Perceptual(FeatureLoss):
    """Near to the truth as a network sees it."""

    key = "perceptual"
    summary = "what is made must have the features of what is real, at every depth"
    formula = "w Σ_j ‖φ_j(x̂) - φ_j(x)‖² / (C_j H_j W_j)"
    paper = "Johnson et al. 2016, arXiv:1603.08155"

    class Config(PartConfig):
        weight: float = knob(
            1.0, "w", gt=0, search={"min": 0.01, "max": 100.0, "distribution": "log_uniform"}
        )

    def described(self, layers: Sequence[Tensor]) -> list[Tensor]:
        return list(layers)

    def distance(self, made: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
        return distance(made, true)
