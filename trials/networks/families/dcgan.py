"""DCGAN (Radford et al., arXiv:1511.06434), for any power of two from 8 up.

Generator: z is projected to 4×4 maps; each block doubles the size and halves the channels, down
to `width` at full size, never above 8·width; a convolution and tanh make the image. With
`head_kernel: 0` the last upsampling makes the image itself, as in the paper.

Discriminator: the first convolution makes `width` channels, each halving doubles them, up to
8·width, until 4×4; a linear layer reads the maps. `depth: 1` is the paper's. `depth: 2` has
a further convolution at every size, the full one included: the standard CNN of spectral
normalisation (arXiv:1802.05957, table 3), which doubles the channels there (`doubles_at: keeping`)
and has no normalisation at 4×4 in its generator (`bare_entry`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from trials.networks import knobs
from trials.networks.discriminator import Discriminator, input_channels, labelled_input
from trials.networks.encoder import encoder_of
from trials.networks.family import SMALLEST, Family, PlayerKnobs
from trials.networks.generator import Generator, conditioner_of
from trials.networks.image_ends import image_head, image_problems, projection
from trials.networks.layers.coded import sequence
from trials.networks.layers.factory import LayerFactory, halvings
from trials.networks.layers.resampling import downsample, upsample
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan
from trials.problems import Problem

WIDEST = 8
"""The most channels anywhere, in multiples of the width."""


def stages_from(plan: GeneratorPlan, make: LayerFactory, latent: int) -> list[nn.Module]:
    """Everything from (N, latent) numbers to images, in stages of one size each."""
    channels = generator_channels(plan)
    entry = projection(make, latent, channels[0], bias=make.biased())
    shaped = entry if plan.bare_entry else [*entry, *make.activated(channels[0])]
    stages = [sequence([*shaped, *make.inserted(SMALLEST, channels[0])])]
    for index in range(1, len(channels)):
        size = SMALLEST << index
        makes_image = plan.head_kernel == 0 and size == plan.shape[1]
        block = _last_block if makes_image else _up_block
        stages.append(sequence(block(make, plan, channels[index - 1], channels[index], size)))
    if plan.head_kernel:
        stages.append(sequence(image_head(make, plan, channels[-1])))
    return stages


def generator_channels(plan: GeneratorPlan) -> list[int]:
    """Channels after each stage, from 4×4 to the full size."""
    doublings = halvings(plan.shape[1], SMALLEST)
    if plan.head_kernel == 0:
        inner = [plan.width * min(WIDEST, 1 << k) for k in reversed(range(doublings))]
        return [*inner, plan.shape[0]]
    return [plan.width * min(WIDEST, 1 << k) for k in reversed(range(doublings + 1))]


def _up_block(
    make: LayerFactory, plan: GeneratorPlan, inputs: int, outputs: int, size: int
) -> list[nn.Module]:
    fan = outputs * make.outputs_per_channel
    bias = make.biased()
    modules = make.unit(upsample(make, plan.upsample, inputs, fan, size, bias=bias), outputs)
    modules += make.inserted(size, outputs)
    for _ in range(plan.extra_at(size)):
        modules += make.unit([make.conv(outputs, fan, resolution=size, bias=bias)], outputs)
    return modules


def _last_block(
    make: LayerFactory, plan: GeneratorPlan, inputs: int, outputs: int, size: int
) -> list[nn.Module]:
    bias = make.biased(normalised=False)
    return [*upsample(make, plan.upsample, inputs, outputs, size, bias=bias, last=True), nn.Tanh()]


def convolutions(
    plan: DiscriminatorPlan, make: LayerFactory, inputs: int
) -> tuple[list[nn.Module], int]:
    """The convolutions of a discriminator or an encoder, down to 4×4, and their channels."""
    units = _units(plan)
    channels, modules = inputs, list[nn.Module]()
    seen = set[int]()
    for index, (halves, size, outputs) in enumerate(units):
        normalised = index > 0 or len(units) == 1
        bias = make.biased(normalised=normalised)
        if index == len(units) - 1:
            before = size * 2 if halves else size
            maps = make.appended(before, channels)
            modules += maps
            channels += len(maps)
        if halves:
            conv = downsample(make, plan.downsample, channels, outputs, size, bias=bias)
        else:
            conv = [make.conv(channels, outputs, resolution=size, bias=bias)]
        modules += make.unit(conv, outputs, normalised=normalised)
        channels = outputs
        if size not in seen:
            modules += make.inserted(size, channels)
        seen.add(size)
    return modules, channels


def _units(plan: DiscriminatorPlan) -> list[tuple[bool, int, int]]:
    """(halves, size after, channels) of each convolution, in order."""
    size = plan.shape[1]
    units = [(False, size, plan.width)] * plan.extra_at(size)
    multiple = 1 if units else 0
    while size > SMALLEST:
        size //= 2
        before, multiple = multiple, min(WIDEST, 2 * multiple) if multiple else 1
        halved = before if plan.doubles_at == "keeping" else multiple
        units.append((True, size, plan.width * halved))
        units += [(False, size, plan.width * multiple)] * plan.extra_at(size)
    return units


class Dcgan(Family):
    """Convolutions and batch norm."""

    key = "dcgan"
    summary = "DCGAN: a plain convolutional network"

    class GeneratorKnobs(PlayerKnobs):
        """The knobs of DCGAN's generator."""

        width: knobs.Channels = 16
        depth: knobs.Convolutions = 1
        deep_from: knobs.DeepFrom = 0
        norm: knobs.GeneratorNorm = "batch"
        upsample: knobs.Upsample = "transposed"
        activation: knobs.Activation = "relu"
        init: knobs.Init = "normal"
        head_kernel: Annotated[
            Literal[0, 1, 3, 5, 7, 9],
            Field(
                description="kernel of the convolution that makes the image; 0: the last "
                "upsampling does"
            ),
        ] = 3
        bare_entry: Annotated[
            bool,
            Field(description="no normalisation and activation between z's layer and the next"),
        ] = False
        skip_z: knobs.SkipZ = "none"
        convolution: knobs.Convolution = "plain"
        bias: knobs.Bias = "auto"
        embedding: knobs.Embedding = 0

    class DiscriminatorKnobs(PlayerKnobs):
        """The knobs of DCGAN's discriminator."""

        width: knobs.Channels = 16
        depth: knobs.Convolutions = 2
        deep_from: knobs.DeepFrom = 0
        norm: knobs.DiscriminatorNorm = "none"
        downsample: knobs.Downsample = "strided"
        doubles_at: Annotated[
            Literal["halving", "keeping"],
            Field(
                description="which convolution doubles the channels: the one that halves the size, "
                "or the next one, which keeps it (needs depth 2)"
            ),
        ] = "halving"
        activation: knobs.Activation = "leaky"
        init: knobs.Init = "normal"
        bias: knobs.Bias = "auto"
        embedding: knobs.Embedding = 0

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent) → images (N, C, H, W)."""
        channels = generator_channels(plan)
        # An image made by the last upsampling passes no normalisation that could read a code.
        conditioner = conditioner_of(plan, len(channels) if plan.head_kernel else len(channels) - 1)
        make = LayerFactory(plan, code=conditioner.code if conditioner is not None else 0)
        latent = conditioner.entry if conditioner is not None else plan.latent
        stages = stages_from(plan, make, latent)
        return Generator(plan, stages, conditioner, encoder_of(plan, channels))

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Images (N, pack·C, H, W) → a judgement of the 4×4 maps."""
        make = LayerFactory(plan)
        entry = labelled_input(plan)
        trunk, channels = convolutions(plan, make, input_channels(plan, entry))
        features = channels * SMALLEST * SMALLEST
        return Discriminator(plan, make, entry, [*trunk, nn.Flatten()], features)

    @classmethod
    def check_generator(cls, plan: GeneratorPlan) -> list[Problem]:
        return image_problems(plan)

    @classmethod
    def check_discriminator(cls, plan: DiscriminatorPlan) -> list[Problem]:
        """With one convolution a size, none keeps it."""
        if plan.doubles_at == "keeping" and plan.depth == 1:
            path = "networks.discriminator.doubles_at"
            return [Problem(path, "no convolution keeps the size at depth 1", "halving")]
        return []
