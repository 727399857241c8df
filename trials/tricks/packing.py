"""Packing (PacGAN, Lin et al. 2018, arXiv:1712.04086).

    D(x₁, …, x_m): m samples joined on channels, one judgement

A generator that lacks modes makes packs with too little variety, and the judge of packs sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import Tensor

from trials.game import Game, Trial
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def packed(images: Tensor, m: int) -> Tensor:
    """(N, C, …) → (N/m, m·C, …): every m samples in a row are joined on channels."""
    return images.reshape(len(images) // m, m * images.shape[1], *images.shape[2:])


class Packing(Trick):
    """Judges several samples at once."""

    key = "packing"
    group = "judgement"
    summary = "the discriminator judges m samples together"
    formula = "D(x_1, ..., x_m)"
    paper = "Lin et al. 2018, arXiv:1712.04086"
    order = 90
    conflicts = {
        "concat": "a pack has several labels",
        "projection": "a pack has several labels",
        "acgan": "a pack has several labels",
        "infogan": "a pack has several codes",
    }

    class Config(PartConfig):
        samples: int = knob(2, "m", ge=2, le=16, search={"values": [2, 3, 4]})

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        if (trial.batch_size // trial.accumulate) % config.samples:
            yield Problem(
                "tricks.packing.samples",
                f"{config.samples} does not divide the batch of {trial.batch_size}"
                + (f" in {trial.accumulate} parts" if trial.accumulate > 1 else ""),
            )

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        judge = plan.discriminator
        return replace(plan, discriminator=replace(judge, pack=self.config.samples))

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        return packed(images, self.config.samples)
