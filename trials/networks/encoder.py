"""The encoder of a condition image, for a generator that completes or enlarges it.

The condition (an image with a hole and its mask; a smaller image) goes down a row of
convolutions to 4×4. The maps at each size have the channels of the generator's stage of that
size, and are added there: a U-Net (arXiv:1505.04597) with sums for joins. z still enters at
4×4, so one condition has many answers.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from trials.networks.family import SMALLEST
from trials.networks.layers.coded import sequence
from trials.networks.layers.factory import LayerFactory, halvings
from trials.networks.layers.resampling import downsample
from trials.networks.plan import GeneratorPlan


class Encoder(nn.Module):
    """(N, K, S, S) → one (N, C_s, s, s) for each size s from 4 to S, the coarsest first."""

    def __init__(self, levels: list[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, condition: Tensor | None) -> list[Tensor]:
        if condition is None:
            raise ValueError("this generator works from a condition image: it needs one")
        maps = []
        for level in self.levels:
            condition = level(condition)
            maps.append(condition)
        return maps[::-1]


def encoder_of(plan: GeneratorPlan, channels: list[int]) -> Encoder | None:
    """The encoder for a generator with these channels by stage, or None without a condition."""
    if not plan.condition_channels:
        return None
    make = LayerFactory(replace(plan, after_block=()))
    size = plan.shape[1] // plan.enlarge
    levels = []
    inputs = plan.condition_channels
    finest = halvings(size, SMALLEST)
    for stage in reversed(range(finest + 1)):
        outputs = channels[stage]
        normalised = stage < finest
        bias = make.biased(normalised=normalised)
        fan = outputs * make.outputs_per_channel
        here = SMALLEST << stage
        if stage == finest:
            conv = [make.conv(inputs, fan, resolution=here, bias=bias)]
        else:
            conv = downsample(make, "strided", inputs, fan, here, bias=bias)
        levels.append(sequence(make.unit(conv, outputs, normalised=normalised)))
        inputs = outputs
    return Encoder(levels)
