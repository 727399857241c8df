"""What losses on the layers of the feature extractor have in common: perceptual and style."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.metrics.extractor import Extractor, build_extractor
from trials.problems import Problem
from trials.trick import Trick


class FeatureLoss(Trick):
    """Compares the answer with the true image, layer by layer, as the evaluation's network sees
    them. Its knobs have a `weight`."""

    group = "auxiliary"
    requires = ("inpaint", "super_resolve")
    conflicts = {"top_k": "it drops samples, and each belongs to its true image"}
    example = {"task": "inpaint"}

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        extractor = trial.evaluation.extractor.part
        if not extractor.has_layers:
            others = [key for key, other in Extractor.all().items() if other.has_layers]
            yield Problem(
                f"tricks.{cls.key}",
                f"needs the layers of the feature extractor, and {extractor.key} has none",
                expected="evaluation.extractor one of " + ", ".join(others),
            )

    @abstractmethod
    def distance(self, layers: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """A scalar from the activations (N, C_j, H_j, W_j) of made and of true images."""

    def prepare(self, game: Game) -> None:
        self.extractor = build_extractor(self.trial.evaluation.extractor, game.dataset, game.device)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        made = self.extractor.layers(round.fake)
        with torch.no_grad():
            true = self.extractor.layers(round.real)
        return {**terms, self.key: self.config.weight * self.distance(made, true)}
