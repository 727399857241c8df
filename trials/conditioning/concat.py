"""Conditional GAN (Mirza and Osindero 2014, arXiv:1411.1784).

    G([z, y]),  D([x, y])

y one-hot, or a learned embedding of `networks.*.embedding` numbers; joined to z, and to the
discriminator's input as constant maps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from trials.game import Trial
from trials.networks.plan import NetworkPlan
from trials.problems import Problem
from trials.trick import Trick


class Concat(Trick):
    """The first conditional GAN."""

    key = "concat"
    group = "labels"
    slot = "conditioning"
    summary = "labels are joined to z and to the discriminator's input"
    formula = "G([z, y]), D([x, y])"
    paper = "Mirza and Osindero 2014, arXiv:1411.1784"
    differences = ("y joins z and x as they are; in the paper each has a layer of its own first.",)
    uses_labels = True

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        return trial.needs_labels(cls.key)

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        return NetworkPlan(
            replace(plan.generator, conditioning="concat"),
            replace(plan.discriminator, conditioning="concat"),
        )
