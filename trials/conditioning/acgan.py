"""Auxiliary classifier GAN (Odena et al. 2016, arXiv:1610.09585).

    L_C = E[−log p(y | x)] + E[−log p(y | G(z, y))]

The discriminator minimises its adversarial loss plus λ_D L_C; the generator minimises its own
plus λ_G E[−log p(y | G(z, y))]. The classifier is a second linear output on D's features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from trials.errors import ConfigError
from trials.game import Game, Round, Terms, Trial
from trials.networks.plan import Judgement, NetworkPlan, label_a_pack
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def classification(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """−E log p(y | x) of logits (N, K) and labels (N,); a scalar.

    Smoothed, the classifier is taught 1 − ε on the class and ε/(K − 1) on each other one.
    """
    if smoothing == 0:
        return F.cross_entropy(logits, labels)
    logs = F.log_softmax(logits, 1)
    own = logs.gather(1, labels[:, None]).squeeze(1)
    others = (logs.sum(1) - own) / (logits.shape[1] - 1)
    return -((1 - smoothing) * own + smoothing * others).mean()


class AuxiliaryClassifier(Trick):
    """The judge also names the class."""

    key = "acgan"
    group = "labels"
    slot = "conditioning"
    summary = "the discriminator also classifies real and generated images"
    formula = "L_C = E[-log p(y|x)] + E[-log p(y|G(z, y))]"
    paper = "Odena et al. 2016, arXiv:1610.09585"
    differences = (
        "Dropout in D is the separate trick `dropout`, which the preset switches on; noise on "
        "activations is not implemented.",
    )
    uses_labels = True

    class Config(PartConfig):
        discriminator_weight: float = knob(1.0, "λ_D", gt=0)
        generator_weight: float = knob(
            1.0, "λ_G", gt=0, search={"min": 0.01, "max": 10.0, "distribution": "log_uniform"}
        )
        generator: Literal["concat", "norm"] = knob(
            "concat", "joined to z, or in the generator's normalisation"
        )
        smoothing: float = knob(
            0.0, "ε, what the classifier is taught of all other classes together", ge=0, lt=1
        )

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        return trial.needs_labels(cls.key)

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        judge = plan.discriminator
        heads = {**judge.heads, "class": plan.discriminator.classes}
        return NetworkPlan(
            replace(plan.generator, conditioning=self.config.generator),
            replace(judge, heads=heads),
        )

    def prepare(self, game: Game) -> None:
        if game.dataset.classes < 2:
            message = f"{self.key} names the class of an image, and these data have one class"
            expected = "data of two classes or more, or conditioning: none"
            raise ConfigError([Problem("conditioning", message, expected)])

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        epsilon = self.config.smoothing
        real = _classified(round.real_judgement, round.labels, epsilon)
        fake = _classified(round.fake_judgement, round.fake_labels, epsilon)
        return {**terms, "class": self.config.discriminator_weight * (real + fake)}

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        fake = _classified(round.fake_judgement, round.fake_labels)
        return {**terms, "class": self.config.generator_weight * fake}


def _classified(
    judgement: Judgement | None, labels: Tensor | None, smoothing: float = 0.0
) -> Tensor:
    """The loss of the classes that the judge named, of samples or of packs of one class."""
    assert judgement is not None
    logits = judgement.heads["class"]
    labels = label_a_pack(labels, len(logits))
    assert labels is not None
    return classification(logits, labels, smoothing)
