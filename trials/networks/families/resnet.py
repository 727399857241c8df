"""Residual networks of spectral normalisation (Miyato et al., arXiv:1802.05957, tables 4 and 5).

Up to 32×32 every block has `width` channels (the paper: 256 in the generator, 128 in the
discriminator). From 64×64 on channels double towards the 4×4 end, up to 16·width (the paper: 64).

Generator: z → 4×4, a block for each doubling, normalisation, activation, convolution, tanh.
Discriminator: a block for each halving, down to 8×8 (4×4 for 8×8 images), then two blocks that
keep the size; from 64×64 on down to 4×4, then one. The sum over places is the feature vector.
`depth` adds blocks that keep the size after each of these.
"""

from __future__ import annotations

from torch import Tensor, nn

from trials.networks import knobs
from trials.networks.discriminator import Discriminator, input_channels, labelled_input
from trials.networks.encoder import encoder_of
from trials.networks.family import SMALLEST, Family, PlayerKnobs
from trials.networks.generator import Generator, conditioner_of
from trials.networks.image_ends import image_head, image_problems, projection
from trials.networks.layers.coded import sequence
from trials.networks.layers.factory import LayerFactory, halvings
from trials.networks.layers.gated import Gated
from trials.networks.layers.resampling import downsample, upsample
from trials.networks.layers.residual import residual
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan
from trials.problems import Problem

CONSTANT_UP_TO = 32
"""The largest image whose networks have the same width throughout."""

WIDEST = 16
"""The most channels anywhere, in multiples of the width."""


class SumPool(nn.Module):
    """(N, C, H, W) → (N, C), the sum over places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


# Generator


def generator_multiples(size: int) -> list[int]:
    """Channels at each size, from 4×4 to the full one, in multiples of the width."""
    sizes = halvings(size, SMALLEST) + 1
    if size <= CONSTANT_UP_TO:
        return [1] * sizes
    return [min(WIDEST, 1 << k) for k in reversed(range(sizes))]


def residual_generator(plan: GeneratorPlan, multiples: list[int]) -> nn.Module:
    """A generator whose channels at each size, from 4×4 on, are these multiples of the width."""
    channels = [plan.width * multiple for multiple in multiples]
    conditioner = conditioner_of(plan, len(channels))
    make = LayerFactory(plan, code=conditioner.code if conditioner is not None else 0)
    latent = conditioner.entry if conditioner is not None else plan.latent
    bias = make.biased(normalised=False)
    entry = projection(make, latent, channels[0], bias=bias)
    stages = [sequence([*entry, *make.inserted(SMALLEST, channels[0])])]
    inputs = channels[0]
    for index, outputs in enumerate(channels[1:], 1):
        size = SMALLEST << index
        blocks = [_up_block(make, plan, inputs, outputs, size), *make.inserted(size, outputs)]
        for _ in range(plan.extra_at(size)):
            blocks.append(_up_block(make, plan, outputs, outputs, size, keep=True))
        stages.append(sequence(blocks))
        inputs = outputs
    head = [*make.norm(inputs, coded=False), make.activation(), *image_head(make, plan, inputs)]
    stages.append(nn.Sequential(*head))
    return Generator(plan, stages, conditioner, encoder_of(plan, channels))


def _up_block(
    make: LayerFactory,
    plan: GeneratorPlan,
    inputs: int,
    outputs: int,
    size: int,
    *,
    keep: bool = False,
) -> nn.Module:
    """norm, act, (double) conv, norm, act, conv; beside it a 1×1 convolution, doubled alike."""
    fan = outputs * make.outputs_per_channel
    # What a block adds to every place of a channel is taken away by the next normalisation.
    bias = make.biased(at_once=False)
    if keep:
        first = [make.conv(inputs, fan, resolution=size, bias=make.biased())]
        shortcut = []
    else:
        first = upsample(make, plan.upsample, inputs, fan, size, bias=make.biased())
        shortcut = upsample(make, plan.upsample, inputs, outputs, size, bias=bias, shortcut=True)
    main = [*make.norm(inputs), make.activation(), *first, *_gate(make)]
    main += [*make.norm(outputs), make.activation()]
    main += [make.conv(outputs, fan, resolution=size, bias=bias), *_gate(make)]
    return residual(main, shortcut)


def _gate(make: LayerFactory) -> list[nn.Module]:
    """φ is the identity: in these blocks the activation stands before the convolution."""
    return [Gated(nn.Identity())] if make.gated else []


# Discriminator


def discriminator_multiples(size: int) -> tuple[list[int], list[int]]:
    """Channels of the blocks that halve, and of those that then keep the size, in widths."""
    if size <= CONSTANT_UP_TO:
        return [1] * max(1, halvings(size, 2 * SMALLEST)), [1, 1]
    halving = [min(WIDEST, 1 << k) for k in range(halvings(size, SMALLEST))]
    return halving, [min(WIDEST, 2 * halving[-1])]


def residual_discriminator(
    plan: DiscriminatorPlan,
    halving: list[int],
    keeping: list[int],
    *,
    wide: bool = False,
    pool: type[nn.Module] = SumPool,
    stem: bool = False,
) -> nn.Module:
    """A discriminator of residual blocks with these multiples of the width as channels.

    A block that halves is `wide` where its inner channels are those it puts out, else narrow. With
    a `stem` a convolution stands before the first block, which is then like the others, and every
    place of the last one's maps is a feature; without, `pool` makes one feature of each map.
    """
    make = LayerFactory(plan)
    entry = labelled_input(plan)
    channels, size = input_channels(plan, entry), plan.shape[1]
    blocks: list[tuple[bool, int]] = []
    for count, multiple in enumerate(halving, 1):
        outputs = plan.width * multiple
        blocks += [(True, outputs), *[(False, outputs)] * plan.extra_at(size >> count)]
    blocks += [(False, plan.width * multiple) for multiple in keeping]
    trunk: list[nn.Module] = []
    if stem:
        bias = make.biased(normalised=False)
        trunk = [make.conv(channels, plan.width, resolution=size, bias=bias)]
        channels = plan.width
    for index, (halves, outputs) in enumerate(blocks):
        if index == len(blocks) - 1:
            maps = make.appended(size, channels)
            trunk += maps
            channels += len(maps)
        first = index == 0 and not stem
        new_size = size // 2 if halves else size
        hidden = outputs if wide or first else channels
        trunk.append(_down_block(make, plan, (channels, hidden, outputs), new_size, halves, first))
        if halves:
            trunk += make.inserted(new_size, outputs)
        channels, size = outputs, new_size
    if stem:
        return Discriminator(plan, make, entry, [*trunk, nn.Flatten()], channels * size * size)
    return Discriminator(plan, make, entry, [*trunk, make.activation(), pool()], channels)


def _down_block(
    make: LayerFactory,
    plan: DiscriminatorPlan,
    channels: tuple[int, int, int],
    size: int,
    halves: bool,
    first: bool,
) -> nn.Module:
    """norm, act, conv, norm, act, conv (halve); the first block reads the image as it is."""
    inputs, hidden, outputs = channels
    before = size * 2 if halves else size
    norms = not first
    opening = [] if first else [*make.norm(inputs), make.activation()]
    inner = make.conv(inputs, hidden, resolution=before, bias=make.biased(normalised=norms))
    middle = [*(make.norm(hidden) if norms else []), make.activation()]
    bias = make.biased(normalised=False)
    shortcut: list[nn.Module] = []
    if halves:
        last = downsample(make, plan.downsample, hidden, outputs, size, bias=bias)
        shortcut = downsample(
            make, plan.downsample, inputs, outputs, size, bias=bias, shortcut=True
        )
    else:
        last = [make.conv(hidden, outputs, resolution=size, bias=bias)]
        if inputs != outputs:
            shortcut = [make.conv(inputs, outputs, 1, resolution=size, bias=bias)]
    return residual([*opening, inner, *middle, *last], shortcut)


class Resnet(Family):
    """Residual blocks."""

    key = "resnet"
    summary = "the residual networks of spectral normalisation"

    class GeneratorKnobs(PlayerKnobs):
        """The knobs of a residual generator."""

        width: knobs.Channels = 16
        depth: knobs.Blocks = 1
        deep_from: knobs.DeepFrom = 0
        norm: knobs.GeneratorNorm = "batch"
        upsample: knobs.Upsample = "nearest_conv"
        activation: knobs.Activation = "relu"
        init: knobs.Init = "xavier"
        head_kernel: knobs.HeadKernel = 3
        skip_z: knobs.SkipZ = "none"
        convolution: knobs.Convolution = "plain"
        bias: knobs.Bias = "auto"
        embedding: knobs.Embedding = 0

    class DiscriminatorKnobs(PlayerKnobs):
        """The knobs of a residual discriminator."""

        width: knobs.Channels = 16
        depth: knobs.Blocks = 1
        deep_from: knobs.DeepFrom = 0
        norm: knobs.DiscriminatorNorm = "none"
        downsample: knobs.Downsample = "average_pool"
        activation: knobs.Activation = "relu"
        init: knobs.Init = "xavier"
        bias: knobs.Bias = "auto"
        embedding: knobs.Embedding = 0

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent) → images (N, C, H, W)."""
        return residual_generator(plan, generator_multiples(plan.shape[1]))

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Images (N, pack·C, H, W) → a judgement of the sum over places."""
        return residual_discriminator(plan, *discriminator_multiples(plan.shape[1]))

    @classmethod
    def check_generator(cls, plan: GeneratorPlan) -> list[Problem]:
        """The block that doubles last makes no image, so there has to be a head."""
        if plan.head_kernel == 0:
            path = "networks.generator.head_kernel"
            return [Problem(path, "residual blocks need a head", "1 or 3")]
        return image_problems(plan)
