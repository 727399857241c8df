"""Averaged generator weights (Yazıcı et al. 2018, arXiv:1806.04498; BigGAN arXiv:1809.11096).

    θ̄ ← β θ̄ + (1 − β) θ   after every generator step

Used for evaluation and samples; training goes on with the raw weights. Before `start` of the
steps has passed θ̄ = θ. With `warm_up` the decay of the t-th update is
min(β, (1 + t)/(10 + t)), so that the average forgets its beginning; a short training never gets
to a large β, and `knobs: default` searches only those that it does get to. Buffers (batch
statistics) are copied or averaged: which of the two changes FID by up to a factor of two, so it is
a knob; spectral norm's vectors are always copied.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Trial
from trials.part import PartConfig, knob
from trials.trick import Trick


def decay_at(update: int, decay: float, warm_up: bool) -> float:
    """β of the `update`-th averaging, counted from 0."""
    return min(decay, (1 + update) / (10 + update)) if warm_up else decay


@torch.no_grad()
def average_into(averages: list[Tensor], values: list[Tensor], share: float | Tensor) -> None:
    """θ̄ ← β θ̄ + (1 − β) θ, in place, `share` being 1 − β, a number or a scalar; counters and other
    integers are copied."""
    floats = [(a, v) for a, v in zip(averages, values, strict=True) if a.is_floating_point()]
    if floats:
        weights: Any = [share] * len(floats) if isinstance(share, Tensor) else share
        torch._foreach_lerp_([a for a, _ in floats], [v for _, v in floats], weights)
    for a, v in zip(averages, values, strict=True):
        if not a.is_floating_point():
            a.copy_(v)


@torch.no_grad()
def copy_into(averages: list[Tensor], values: list[Tensor]) -> None:
    """θ̄ ← θ, in place."""
    for a, v in zip(averages, values, strict=True):
        a.copy_(v)


def buffers_of(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Buffers that an average has a meaning for, and those that only a copy has one for: the unit
    vectors of spectral norm, whose mean is none, so that σ would be too small."""
    named = list(network.named_buffers())
    return (
        [buffer for name, buffer in named if "parametrizations" not in name.split(".")],
        [buffer for name, buffer in named if "parametrizations" in name.split(".")],
    )


class ExponentialMovingAverage(Trick):
    """Samples come from a slow copy of the generator."""

    key = "ema"
    group = "dynamics"
    summary = "samples come from an exponential moving average of the generator's weights"
    formula = "θ̄ ← β θ̄ + (1-β) θ"
    paper = "Yazıcı et al. 2018, arXiv:1806.04498"
    samples_from = "averaged"

    class Config(PartConfig):
        decay: float = knob(0.999, "β", ge=0, lt=1, search={"min": 0.9, "max": 0.9999})
        start: float = knob(0.0, "share of the training before averaging starts", ge=0, lt=1)
        warm_up: bool = knob(True, "start from a small β")
        buffers: Literal["copy", "average"] = knob("average", "what happens to batch statistics")

    @classmethod
    def alive(cls, config: Any, trial: Trial) -> Mapping[str, tuple[float, float]]:
        averagings = trial.steps - math.ceil(config.start * trial.steps)
        return {"decay": (0.0, decay_at(averagings - 1, 1.0, config.warm_up))}

    def prepare(self, game: Game) -> None:
        self.averaged = copy.deepcopy(game.generator).eval().requires_grad_(False)
        self.updates = 0

    def after_generator_step(self, game: Game, round: Round) -> None:
        network, averaged = game.generator, self.averaged
        weights, (buffers, vectors) = list(network.parameters()), buffers_of(network)
        own_buffers, own_vectors = buffers_of(averaged)
        copy_into(own_vectors, vectors)
        if game.host.choice(lambda: game.progress < self.config.start):
            copy_into(list(averaged.parameters()), weights)  # type: ignore[arg-type]
            copy_into(own_buffers, buffers)
            return
        share = self._share(game)
        average_into(list(averaged.parameters()), weights, share)  # type: ignore[arg-type]
        if self.config.buffers == "average":
            average_into(own_buffers, buffers, share)
        else:
            copy_into(own_buffers, buffers)
        game.host.count(self._updated)

    def _share(self, game: Game) -> float | Tensor:
        """1 − β of the coming update."""
        if not self.config.warm_up:
            return 1 - float(self.config.decay)
        return game.host.number(lambda: 1 - decay_at(self.updates, self.config.decay, True))

    def _updated(self) -> None:
        self.updates += 1

    def sampling_network(self, game: Game, network: nn.Module) -> nn.Module:
        return self.averaged

    def state(self) -> dict[str, Any]:
        return {"averaged": self.averaged.state_dict(), "updates": self.updates}

    def load_state(self, state: dict[str, Any]) -> None:
        self.averaged.load_state_dict(state["averaged"])
        self.updates = state["updates"]
