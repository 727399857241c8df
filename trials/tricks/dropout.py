"""Dropout in either player (Srivastava et al. 2014).

    every number of a feature map is 0 with probability p, else divided by 1 − p

after the first block of each size, while a player learns. In the discriminator it keeps it from
being sure too early (CGAN, ACGAN: 0.5); in the generator it is noise (pix2pix, arXiv:1611.07004, p
= 0.5). Samples are drawn without it. pix2pix samples with it, which is left out: samples would not
be those of z.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from torch import nn

from trials.game import Trial
from trials.networks.plan import BlockInsert, NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def after_each_block(share: float) -> BlockInsert:
    """Dropout of `share` at every size."""
    return lambda resolution, channels: nn.Dropout(share)


class Dropout(Trick):
    """Forgets a share of what it saw."""

    key = "dropout"
    group = "judgement"
    summary = "drops a share of either player's features while it learns"
    formula = "h ← m ⊙ h / (1 - p),  m ~ Bernoulli(1 - p)"
    paper = "Isola et al. 2016, arXiv:1611.07004"
    differences = ("pix2pix samples with dropout on; here it is off, so that z decides a sample.",)

    class Config(PartConfig):
        share: float = knob(0.5, "p", gt=0, lt=1, search={"min": 0.1, "max": 0.6})
        players: Literal["discriminator", "generator", "both"] = knob("discriminator", "whose")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem(
                "tricks.dropout", "stands between blocks, and networks of points have none"
            )

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        insert = after_each_block(self.config.share)
        maker, judge = plan.generator, plan.discriminator
        if self.config.players != "discriminator":
            maker = replace(maker, after_block=(*maker.after_block, insert))
        if self.config.players != "generator":
            judge = replace(judge, after_block=(*judge.after_block, insert))
        return NetworkPlan(maker, judge)
