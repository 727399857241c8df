"""Progressive growing (Karras et al. 2017, arXiv:1710.10196).

    from 4×4 or 8×8 upward; while a size fades in, α from 0 to 1:
    G(z) = (1 − α) up(rgb_k) + α rgb_{k+1},   D alike,   x ← (1 − α) up(pool(x)) + α x

Both networks are replaced by growing ones (`networks/growing.py`), which honour the knobs of
the family `dcgan` and take the paper's where none is given: two convolutions a size, nearest
neighbours upward, means downward, leaky ReLU, 1×1 convolutions to and from images. What the
discriminator sees of either side is brought down to the size reached, and real images fade in as
generated ones do. The paper counts images in a phase, 800,000 to fade a size in and as many to
settle; here phases are shares of the training, so that trainings of different lengths compare.
Its smaller batches at larger sizes are not followed.

`equalised` (section 4.1): weights are N(0, 1), and act multiplied by √(2 / fan in), so that
Adam moves all of them equally fast; those from z to 4×4 by a quarter of it, as in the authors'
code. `pixel_norm` (section 4.2): after the activation each pixel's features, and z, have mean
square 1. `renew_optimizers`: whenever a size begins to fade in, or is in, the moments of both
optimisers are forgotten, as in the authors' code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from trials.game import Game, Steps, Trial
from trials.networks.family import SMALLEST
from trials.networks.growing import (
    GrowingDiscriminator,
    GrowingGenerator,
    Growth,
    faded,
    pooled,
)
from trials.networks.plan import LayerInfo, NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick

PAPER: dict[str, dict[str, Any]] = {
    "generator": {"depth": 2, "upsample": "nearest_conv", "activation": "leaky", "head_kernel": 1},
    "discriminator": {"depth": 2, "downsample": "average_pool", "activation": "leaky"},
}
"""The paper's choices (table 2), where the configuration makes none."""


class Equalised(nn.Module):
    """ŵ = c w, c constant."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """c w, of any shape."""
        return weight * self.scale


def equalised(layer: nn.Module, info: LayerInfo) -> nn.Module:
    """The layer with weights N(0, 1) that act multiplied by He's constant, √(2 / fan in).

    The last layer of a network has no rectifier after it, so the 2 is a 1 there. The generator's
    first, which makes 16 places of one number, has a quarter of it.
    """
    if info.kind == "embedding":
        return layer
    weight = cast("Tensor", layer.weight)
    fan_in = weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        # (in, out, k, k); with a stride each output reads only its share of the kernel.
        fan_in = weight.numel() // weight.shape[1] // math.prod(layer.stride)
    nn.init.normal_(weight)
    share = 1 / 4 if info.kind == "linear" and info.resolution == SMALLEST else 1.0
    scale = share * math.sqrt((1 if info.last else 2) / fan_in)
    return register_parametrization(layer, "weight", Equalised(scale))


class ProgressiveGrowing(Trick):
    """From the coarse to the fine."""

    key = "progressive_growing"
    group = "dynamics"
    summary = "both networks grow from 4×4 or 8×8 upward, each new size fading in"
    formula = "(1-α) up(small) + α large,  α from 0 to 1, for G(z), D and x alike"
    paper = "Karras et al. 2017, arXiv:1710.10196"
    not_capturable = (
        "the host grows the networks, and fades by a number that changes from step to step"
    )
    not_compilable = "while a size fades in, the networks are others at each step"
    differences = (
        "Phases are shares of the training, not counts of images: trainings of any length compare.",
        "Images pass tanh; the paper's are linear in the last layer.",
        "The batch does not shrink as images grow.",
        "The drift term 0.001 E D(x)² of the paper's loss is left out.",
    )
    reread = (
        "up to 512 channels at every size, pixel norm after the activation, a first layer at a"
        " quarter, optimisers begun anew from size to size",
    )
    order = -60
    conflicts = {
        "multi_scale_discriminator": "its small discriminators do not grow",
        "ebgan": "the growing discriminator is no autoencoder",
        "began": "the growing discriminator is no autoencoder",
        "inpaint": "the growing generator does not work from an image",
        "super_resolve": "the growing generator does not work from an image",
    }
    example = {"data": {"name": "digits", "size": 16}}

    class Config(PartConfig):
        start: Literal[4, 8] = knob(4, "the size that both networks begin at")
        grown_by: float = knob(
            0.6, "share of the training after which the full size is in",
            gt=0, le=1, search={"min": 0.3, "max": 0.9},
        )  # fmt: skip
        fade: float = knob(
            0.5, "share of each size's time in which the next one fades in",
            gt=0, le=1, search={"min": 0.1, "max": 1.0},
        )  # fmt: skip
        widest: int = knob(512, "the most channels anywhere; half as many from size to size", ge=1)
        equalised: bool = knob(True, "equalised learning rate")
        pixel_norm: bool = knob(
            True, "z of mean square 1; pixel norm unless networks.generator.norm says otherwise"
        )
        renew_optimizers: bool = knob(True, "forget the optimisers' moments from size to size")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape, here = trial.shape(), f"tricks.{cls.key}"
        if shape is not None and len(shape) != 3:
            yield Problem(here, "grows images, and these data are points")
            return
        if shape is not None and shape[-1] <= config.start:
            message = f"images of {shape[-1]}×{shape[-1]} leave nothing to grow"
            yield Problem(f"{here}.start", message, expected="4" if shape[-1] > 4 else "")
        networks = trial.networks
        for player in ("generator", "discriminator"):
            knobs = getattr(networks, player)
            if knobs.name != "dcgan":
                path = f"networks.{player}.family"
                message = f"'{cls.key}' has networks of its own, not {knobs.name}"
                yield Problem(path, message, "dcgan")
                continue
            if knobs.norm == "virtual_batch":
                path = f"networks.{player}.norm"
                yield Problem(path, "a growing network has no fixed reference batch")
            if knobs.init != "normal" and config.equalised:
                message = "equalised weights start normal, whatever this says"
                yield Problem(f"networks.{player}.init", message, f"{here}.equalised: false")
        if getattr(networks.generator, "head_kernel", 1) == 0:
            path = "networks.generator.head_kernel"
            yield Problem(path, "a growing generator has a head at every size", "1 or 3")

    @classmethod
    def networks(cls, config: Any) -> Mapping[str, Mapping[str, Any]]:
        norm = {"norm": "pixel"} if config.pixel_norm else {}
        return {**PAPER, "generator": {**PAPER["generator"], **norm}}

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        chosen, maker, judge = self.config, plan.generator, plan.discriminator
        if chosen.equalised:
            maker = replace(maker, wrap_layer=(equalised, *maker.wrap_layer))
            judge = replace(judge, wrap_layer=(equalised, *judge.wrap_layer))
        growth = self.growth(maker.shape[-1])
        makes = partial(
            GrowingGenerator, growth=growth, widest=chosen.widest, sphere=chosen.pixel_norm
        )
        judges = partial(GrowingDiscriminator, growth=growth, widest=chosen.widest)
        return NetworkPlan(replace(maker, builder=makes), replace(judge, builder=judges))

    def growth(self, size: int) -> Growth:
        """When networks for images of `size` grow."""
        chosen = self.config
        return Growth(chosen.start, size, self.trial.steps, chosen.grown_by, chosen.fade)

    def prepare(self, game: Game) -> None:
        self._grow(game)

    def steps(self, game: Game, steps: Steps) -> Steps:
        self._grow(game)
        if self.config.renew_optimizers and self._turns(game):
            game.forget_moments()
        return steps

    def _grow(self, game: Game) -> None:
        for network in (game.generator, game.discriminator):
            assert isinstance(network, GrowingGenerator | GrowingDiscriminator)
            network.grow(game.step)

    def _turns(self, game: Game) -> bool:
        """Whether a size began to fade in, or was in, with the step before."""
        assert isinstance(game.generator, GrowingGenerator)
        position = game.generator.growth.position
        before, now = (float(position(torch.tensor(step))) for step in (game.step - 1, game.step))
        return game.step > 0 and (
            math.floor(before) != math.floor(now) or math.ceil(before) != math.ceil(now)
        )

    def _position(self, game: Game) -> tuple[float, int]:
        """Doublings done, and the size that is judged."""
        assert isinstance(game.generator, GrowingGenerator)
        position = game.generator.position
        return position, game.generator.growth.size_at(position)

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        position, size = self._position(game)
        seen = pooled(images, size)
        alpha = 1 - (math.ceil(position) - position)
        return faded(seen, alpha) if real and alpha < 1 else seen

    def signals(self, game: Game) -> dict[str, float]:
        position, size = self._position(game)
        return {"size": float(size), "alpha": 1 - (math.ceil(position) - position)}
