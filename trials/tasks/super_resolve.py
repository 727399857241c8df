"""Enlarging images (Ledig et al. 2016, arXiv:1609.04802).

    y = x pooled by the factor,    x̂ = G(z, y),    D judges x against x̂

The generator is given the small image and makes the large one. As the source advises it grows by
pixel shuffle (Shi et al. 2016, arXiv:1609.05158) unless `networks.generator.upsample` says
otherwise. The paper shrinks by bicubic filtering; here each pixel of the small image is the mean
of the pixels it stands for, which is exact for every factor. Its content losses are tricks of
their own (`l1`, `perceptual`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trials.game import Game, Trial
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.tasks.paired import PairedTask

SMALLEST = 4
"""The least side of an image that the generators' encoder reads."""


def shrunk(images: Tensor, factor: int) -> Tensor:
    """Images (N, C, H, W) → (N, C, H/factor, W/factor): means over squares."""
    return F.avg_pool2d(images, factor)


class SuperResolve(PairedTask):
    """The generator enlarges an image."""

    key = "super_resolve"
    summary = "the generator makes a large image of a small one, by pixel shuffle"
    formula = "x̂ = G(z, y),  y = x pooled by the factor"
    paper = "Ledig et al. 2016, arXiv:1609.04802"
    example = {"data": {"name": "digits", "size": 16}}

    class Config(PartConfig):
        factor: Literal[2, 4, 8] = knob(2, "how many times larger each side becomes")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        yield from super().check(config, trial)
        shape = trial.shape()
        if shape is not None and len(shape) == 3 and shape[-1] // config.factor < SMALLEST:
            yield Problem(
                "task.factor",
                f"an image of {shape[-1]}×{shape[-1]} would be made from one below "
                f"{SMALLEST}×{SMALLEST}",
                expected=f"at most {shape[-1] // SMALLEST}",
            )

    @classmethod
    def networks(cls, config: Any) -> Mapping[str, Mapping[str, Any]]:
        return {"generator": {"upsample": "pixel_shuffle"}}

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        maker = replace(
            plan.generator,
            condition_channels=plan.generator.shape[0],
            enlarge=self.config.factor,
        )
        return replace(plan, generator=maker)

    def condition(self, game: Game, real: Tensor, stream: torch.Generator) -> Tensor:
        return shrunk(real, self.config.factor)
