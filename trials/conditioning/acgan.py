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

from trials.game import Game, Round, Terms, Trial
from trials.networks.plan import NetworkPlan
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
        "Dropout and noise on activations, which the paper has in D, are no part of it.",
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

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        assert round.real_judgement is not None
        assert round.fake_judgement is not None
        assert round.labels is not None
        assert round.fake_labels is not None
        epsilon = self.config.smoothing
        real = classification(round.real_judgement.heads["class"], round.labels, epsilon)
        fake = classification(round.fake_judgement.heads["class"], round.fake_labels, epsilon)
        return {**terms, "class": self.config.discriminator_weight * (real + fake)}

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        assert round.fake_judgement is not None
        assert round.fake_labels is not None
        fake = classification(round.fake_judgement.heads["class"], round.fake_labels)
        return {**terms, "class": self.config.generator_weight * fake}
