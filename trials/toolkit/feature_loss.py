"""What losses on the layers of the feature extractor have in common: perceptual and style.

In a task each made image has its true one, and the two are compared. Where images are made from
noise there is no such pair: means over the batch are compared with means over the real batch, as
dos Santos et al. 2019 (arXiv:1904.02762) match the perceptual features of real images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.metrics.extractor import Extractor, build_extractor
from trials.problems import Problem
from trials.trick import Trick


def means(described: Sequence[Tensor]) -> list[Tensor]:
    """The mean over the batch of each of several tensors (N, …), as a batch of one."""
    return [values.mean(0, keepdim=True) for values in described]


class FeatureLoss(Trick, ABC):
    """Compares what is made with what is real, layer by layer, as the evaluation's network sees
    them. Its knobs have a `weight`."""

    group = "auxiliary"
    conflicts = {"top_k": "it drops samples, and in a task each belongs to its true image"}
    differences = (
        "The layers are the evaluation's extractor's, not VGG-16's, which is not shipped. So it "
        "trains on what the score is measured through: FID in that extractor is in its favour, and "
        "scores in another (`evaluation.extractor`, a sweep of its own) tell how much is left.",
        "Without a true image, means over the batch meet those of the real batch.",
    )

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        extractor, shape = trial.evaluation.extractor.part, trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem(f"tricks.{cls.key}", "compares images, and these data are points")
        elif not extractor.has_layers:
            others = [key for key, other in Extractor.all().items() if other.has_layers]
            yield Problem(
                f"tricks.{cls.key}",
                f"needs the layers of the feature extractor, and {extractor.key} has none",
                expected="evaluation.extractor one of " + ", ".join(others),
            )

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        yield (
            f"tricks.{cls.key}: trains on the layers of the extractor that the score is measured "
            "through, so a score against trainings without it is in its favour; a second sweep "
            "with another evaluation.extractor tells how much of it is left"
        )

    @abstractmethod
    def described(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """What is compared of the activations (N, C_j, H_j, W_j) of a batch, (N, …) each."""

    @abstractmethod
    def distance(self, made: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
        """A scalar from what is compared of made and of true images, one by one."""

    def prepare(self, game: Game) -> None:
        self.extractor = build_extractor(self.trial.evaluation.extractor, game.dataset, game.device)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        made = self.described(self.extractor.layers(round.made))
        with torch.no_grad():
            true = self.described(self.extractor.layers(round.real))
        if round.condition is None:
            made, true = means(made), means(true)
        return {**terms, self.key: self.config.weight * self.distance(made, true)}
