"""The networks of R3GAN (Huang et al., arXiv:2501.05441, section 3): residual, without any norm.

    x + W₃ φ(W₂ φ(W₁ x + b₁) + b₂)      W₁, W₃ of 1×1, W₂ of 3×3 in groups; twice as wide inside

`width` channels up to 32×32, half as many at each size above, in groups of 16 inside a block. φ is
a leaky ReLU of slope 0.2. Between sizes the maps are interpolated with the binomial filter (1, 3,
3, 1), and a 1×1 convolution stands where the channels differ. Generator: 4×4 maps that are learned,
each channel multiplied by a number that is linear in z. Discriminator: one filter of 4×4 a channel.
Weights start as the authors' do: N(0, g²/fan in), g² = 2/(1 + 0.2²) · L^(−1/2) with L blocks, and
W₃ = 0. Their generator ends linear; here images pass tanh as everywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from trials.networks import knobs
from trials.networks.discriminator import Discriminator, input_channels, labelled_input
from trials.networks.encoder import encoder_of
from trials.networks.family import SMALLEST, Family, PlayerKnobs
from trials.networks.generator import Generator, conditioner_of
from trials.networks.layers.factory import Initialise, LayerFactory, halvings
from trials.networks.layers.residual import Residual
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, LayerInfo, PlayerPlan
from trials.problems import Problem

FULL_UP_TO = 32
"""The largest maps that have `width` channels."""

GROUP = 16
"""Channels that are convolved together inside a block."""

EXPANSION = 2
"""How many times wider a block is inside."""


class Interpolated(nn.Module):
    """(N, C, S, S) → twice, or half, the size, by the filter (1, 3, 3, 1)/8 along both sides."""

    kernel: Tensor

    def __init__(self, *, up: bool) -> None:
        super().__init__()
        self.up = up
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = torch.outer(line, line)[None, None]
        self.register_buffer("kernel", 4 * kernel if up else kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        maps = x.flatten(0, 1)[:, None]
        resample = functional.conv_transpose2d if self.up else functional.conv2d
        y = resample(maps, self.kernel, stride=2, padding=1)
        return y.view(*x.shape[:2], *y.shape[2:])


class LearnedMaps(nn.Module):
    """(N, C) → (N, C, 4, 4): each number multiplies a map of its channel's own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, SMALLEST, SMALLEST))

    def forward(self, gains: Tensor) -> Tensor:
        return gains[:, :, None, None] * self.maps


def _normal(gain: float) -> Initialise:
    """W ~ N(0, g²/fan in)."""
    return lambda weight: nn.init.normal_(weight, 0.0, gain * weight[0].numel() ** -0.5)


class _Maker:
    """The layers of one player, initialised as the authors' are."""

    def __init__(self, plan: PlayerPlan) -> None:
        self.plan = plan
        self.make = LayerFactory(replace(plan, bias="none"), linear=_normal(1.0))
        self.sizes = halvings(plan.shape[1], SMALLEST) + 1
        blocks = self.sizes * plan.depth
        self.gain = math.sqrt(2 / (1 + 0.2**2)) * blocks**-0.25

    def channels(self, size: int) -> int:
        return max(1, self.plan.width * FULL_UP_TO // max(FULL_UP_TO, size))

    def conv(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        kernel: int = 1,
        gain: float = 1.0,
        groups: int = 1,
        bias: bool = False,
        padding: int | None = None,
        last: bool = False,
    ) -> nn.Module:
        pad = kernel // 2 if padding is None else padding
        layer = nn.Conv2d(inputs, outputs, kernel, 1, pad, groups=groups, bias=bias)
        return self.make.finish(layer, LayerInfo("conv", size, last=last), _normal(gain))

    def linear(self, inputs: int, outputs: int, size: int) -> nn.Module:
        layer = nn.Linear(inputs, outputs, bias=False)
        return self.make.finish(layer, LayerInfo("linear", size), _normal(1.0))

    def block(self, channels: int, size: int) -> nn.Module:
        inner = EXPANSION * channels
        groups = math.gcd(inner, max(1, inner // GROUP))
        conv = partial(self.conv, size=size, gain=self.gain, bias=True)
        layers = [
            *(conv(channels, inner), self.make.activation()),
            *(conv(inner, inner, kernel=3, groups=groups), self.make.activation()),
            self.conv(inner, channels, size, gain=0.0),
        ]
        return Residual(nn.Sequential(*layers), None)

    def blocks(self, channels: int, size: int) -> list[nn.Module]:
        first, *others = (self.block(channels, size) for _ in range(self.plan.depth))
        return [first, *self.make.inserted(size, channels), *others]

    def resampled(self, inputs: int, outputs: int, size: int, *, up: bool) -> list[nn.Module]:
        """The interpolation to `size`, and a convolution where the channels differ."""
        conv = [self.conv(inputs, outputs, size)] if inputs != outputs else []
        resize = Interpolated(up=up)
        return [*conv, resize] if up else [resize, *conv]


class R3gan(Family):
    """Inverted bottlenecks without normalisation."""

    key = "r3gan"
    summary = "the networks of R3GAN: grouped inverted bottlenecks, no normalisation"

    class GeneratorKnobs(PlayerKnobs):
        """The knobs of R3GAN's generator."""

        width: knobs.Channels = 64
        depth: Annotated[int, Field(ge=1, le=16, description="blocks at each size")] = 2
        activation: knobs.Activation = "leaky"
        embedding: knobs.Embedding = 0

    class DiscriminatorKnobs(PlayerKnobs):
        """The knobs of R3GAN's discriminator."""

        width: knobs.Channels = 64
        depth: Annotated[int, Field(ge=1, le=16, description="blocks at each size")] = 2
        activation: knobs.Activation = "leaky"
        embedding: knobs.Embedding = 0

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent) → images (N, C, H, W)."""
        maker = _Maker(plan)
        conditioner = conditioner_of(plan, maker.sizes)
        channels = [maker.channels(SMALLEST << index) for index in range(maker.sizes)]
        latent = conditioner.entry if conditioner is not None else plan.latent
        entry = [maker.linear(latent, channels[0], SMALLEST), LearnedMaps(channels[0])]
        stages = [nn.Sequential(*entry, *maker.blocks(channels[0], SMALLEST))]
        for index in range(1, maker.sizes):
            size = SMALLEST << index
            grown = maker.resampled(channels[index - 1], channels[index], size, up=True)
            stages.append(nn.Sequential(*grown, *maker.blocks(channels[index], size)))
        head = maker.conv(channels[-1], plan.shape[0], plan.shape[1], last=True)
        stages.append(nn.Sequential(head, nn.Tanh()))
        return Generator(plan, stages, conditioner, encoder_of(plan, channels))

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Images (N, pack·C, H, W) → a judgement of one filter of 4×4 a channel."""
        maker = _Maker(plan)
        make, entry, size = maker.make, labelled_input(plan), plan.shape[1]
        channels = maker.channels(size)
        trunk = [maker.conv(input_channels(plan, entry), channels, size)]
        while size > SMALLEST:
            trunk += maker.blocks(channels, size)
            size //= 2
            inputs, channels = channels, maker.channels(size)
            trunk += maker.resampled(inputs, channels, size, up=False)
        maps = make.appended(size, channels)
        if maps:
            trunk += [*maps, maker.conv(channels + len(maps), channels, size)]
        trunk += maker.blocks(channels, size)
        basis = maker.conv(channels, channels, 1, kernel=SMALLEST, groups=channels, padding=0)
        return Discriminator(plan, make, entry, [*trunk, basis, nn.Flatten()], channels)

    @classmethod
    def check_generator(cls, plan: GeneratorPlan) -> list[Problem]:
        """There is no normalisation that classes, or a share of z, could set."""
        if plan.conditioning == "norm":
            message = "r3gan has no normalisation to condition on classes"
            return [Problem("conditioning.generator", message, "concat")]
        return []
