"""Perceptual loss (Johnson et al. 2016, arXiv:1603.08155, equation 2). Source: 001 (2.11).

    w Σ_j ‖φ_j(x̂) − φ_j(x)‖² / (C_j H_j W_j)

φ_j are the activations of the evaluation's feature extractor at its j-th depth. The paper takes
one depth of VGG-16; Liu et al. (arXiv:1804.07723) sum over several, and so does this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from trials.config import TrialConfig
from trials.game import Game, Round
from trials.metrics.extractors import build_extractor
from trials.problems import Problem
from trials.trick import Terms, Trick, TrickConfig, knob


def distance(layers: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Σ_j E ‖φ_j(x̂) − φ_j(x)‖² / (C_j H_j W_j) of activations (N, C_j, H_j, W_j); a scalar."""
    pairs = zip(layers, targets, strict=True)
    return torch.stack([(made - true).square().mean() for made, true in pairs]).sum()


class Perceptual(Trick):
    """Near to the truth as a network sees it."""

    key = "perceptual"
    group = "auxiliary"
    summary = "the answer's features must be near the true image's, at every depth"
    formula = "w Σ_j ‖φ_j(x̂) - φ_j(x)‖² / (C_j H_j W_j)"
    paper = "Johnson et al. 2016, arXiv:1603.08155"
    source = "001"
    requires = ("inpaint", "super_resolve")
    conflicts = {"top_k": "it drops samples, and each belongs to its true image"}
    example = {"task": "inpaint"}

    class Config(TrickConfig):
        weight: float = knob(
            1.0, "w", gt=0, search={"min": 0.01, "max": 100.0, "distribution": "log_uniform"}
        )

    @classmethod
    def check(cls, config: Any, trial: TrialConfig) -> Iterable[Problem]:
        if trial.evaluation.extractor.name == "torchscript":
            yield Problem(
                "tricks.perceptual",
                "needs the layers of the feature extractor, and a TorchScript file has none",
                expected="evaluation.extractor digits or inception",
            )

    def prepare(self, game: Game) -> None:
        self.extractor = build_extractor(self.trial.evaluation.extractor, game.dataset, game.device)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        made = self.extractor.layers(round.fake)
        with torch.no_grad():
            true = self.extractor.layers(round.real)
        return {**terms, "perceptual": self.config.weight * distance(made, true)}
