"""Projection discriminator (Miyato and Koyama 2018, arXiv:1802.05637).

    D(x, y) = ψ(φ(x)) + ⟨V y, φ(x)⟩

with the label in the generator's normalisation (class-conditional batch norm, resnet and biggan)
or joined to z.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from trials.game import Trial
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


class Projection(Trick):
    """The label meets the features in an inner product."""

    key = "projection"
    group = "labels"
    slot = "conditioning"
    summary = "the label's embedding is projected onto the discriminator's features"
    formula = "D(x, y) = ψ(φ(x)) + ⟨V y, φ(x)⟩"
    paper = "Miyato and Koyama 2018, arXiv:1802.05637"
    uses_labels = True

    class Config(PartConfig):
        generator: Literal["concat", "norm"] = knob(
            "concat", "joined to z, or in the generator's normalisation"
        )

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        return trial.needs_labels(cls.key)

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        return NetworkPlan(
            replace(plan.generator, conditioning=self.config.generator),
            replace(plan.discriminator, conditioning="projection"),
        )
