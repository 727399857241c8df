"""Networks that grow while they train (Karras et al. 2017, arXiv:1710.10196, section 2).

Both players hold the layers of every size from the start and use those up to where they have
grown. At position p = k + α the newest size is 4·2^(s+k+1), of weight α, s being where they began:

    G   (1 − α) · up(rgb_k(x_k))  +  α · rgb_{k+1}(x_{k+1})
    D   (1 − α) · from_{k}(pool(x))  +  α · block_{k+1}(from_{k+1}(x))

The generator's images always have the full size, coarse ones with square pixels, so that nothing
around the networks has to know of their growth; the discriminator judges images of the size that
it has reached. Where the paper differs: its images are linear in the last layer, here they pass
tanh as everywhere; and pooling stands before the activation, as in its code, not after it.

Channels double towards 4×4, from `width` at the full size up to `widest`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trials.networks.discriminator import Discriminator, input_channels, labelled_input
from trials.networks.family import SMALLEST
from trials.networks.generator import conditioner_of
from trials.networks.image_ends import image_head, projection
from trials.networks.layers.coded import Coded, sequence
from trials.networks.layers.factory import LayerFactory, halvings
from trials.networks.layers.norms import PixelNorm
from trials.networks.layers.resampling import downsample, upsample
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan


@dataclass(frozen=True)
class Growth:
    """When the networks grow, in shares of the training.

    They begin at `start`×`start` and are fully grown when `grown_by` of `steps` are done.
    Until then every size has an equal share, and the last `fade` of it fades in the next size.
    """

    start: int
    size: int
    steps: int
    grown_by: float
    fade: float

    @property
    def doublings(self) -> int:
        """How often the images double."""
        return halvings(self.size, self.start)

    def position(self, step: Tensor) -> Tensor:
        """Doublings done when `step` steps are done, a fraction while one fades in; float64."""
        reached = step.double() * (self.doublings / (self.steps * self.grown_by))
        done = reached.floor()
        # α rises from 0 to 1 in the last `fade` of each size's share.
        alpha = ((reached - done - (1 - self.fade)) / self.fade).clamp(0, 1)
        return (done + alpha).clamp(max=float(self.doublings))

    def size_at(self, position: float) -> int:
        """The size of the images that the discriminator judges at a position."""
        return self.start << math.ceil(position)


def channels_by_size(plan: GeneratorPlan | DiscriminatorPlan, widest: int) -> list[int]:
    """Channels at each size, from 4×4 to the full one."""
    count = halvings(plan.shape[1], SMALLEST) + 1
    return [max(plan.width, min(widest, plan.width << k)) for k in reversed(range(count))]


def pooled(images: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) brought down to `size` by means over squares."""
    factor = images.shape[-1] // size
    return images if factor == 1 else F.avg_pool2d(images, factor)


def enlarged(images: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) brought up to `size` by repeating pixels."""
    factor = size // images.shape[-1]
    return images if factor == 1 else F.interpolate(images, scale_factor=factor, mode="nearest")


def faded(images: Tensor, alpha: float) -> Tensor:
    """(1 − α) · up(pool(x)) + α · x: what real images lose while their size fades in."""
    size = images.shape[-1]
    return torch.lerp(enlarged(pooled(images, size // 2), size), images, alpha)


class ChannelBias(nn.Module):
    """(N, C, H, W) → the same with a number added to each channel, 0 at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class GrowingGenerator(nn.Module):
    """z (N, latent), labels (N,) where the plan conditions on them → (N, C, size, size)."""

    step: Tensor

    def __init__(self, plan: GeneratorPlan, growth: Growth, *, widest: int, sphere: bool) -> None:
        super().__init__()
        self.growth = growth
        self.sphere = PixelNorm() if sphere else None
        channels = channels_by_size(plan, widest)
        self.first = halvings(growth.start, SMALLEST)
        self.conditioner = conditioner_of(plan, len(channels))
        make = LayerFactory(plan, code=self.conditioner.code if self.conditioner else 0)
        inputs = self.conditioner.entry if self.conditioner else plan.latent
        stages, heads = [], []
        for index, outputs in enumerate(channels):
            size = SMALLEST << index
            stages.append(_stage(make, plan, inputs, outputs, size))
            if index >= self.first:
                heads.append(nn.Sequential(*image_head(make, plan, outputs)))
            inputs = outputs
        self.stages, self.heads = nn.ModuleList(stages), nn.ModuleList(heads)
        # An integer, so that averaged weights take it over instead of averaging it.
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.position = 0.0

    def grow(self, step: int) -> None:
        """Be as large as after `step` steps."""
        self.step.fill_(step)
        self.position = float(self.growth.position(torch.tensor(step)))

    def forward(
        self, z: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        x, codes = (z if self.sphere is None else self.sphere(z)), ()
        if self.conditioner is not None:
            x, codes = self.conditioner(x, labels)
        # While training, sizes not reached cost nothing. Otherwise every size is computed and
        # weighed by the buffer, so that averaged, loaded and traced networks are exact too.
        reached = math.ceil(self.position) if self.training else self.growth.doublings
        images: list[Tensor] = []
        for index, stage in enumerate(self.stages[: self.first + reached + 1]):
            x = stage(x, codes[index]) if isinstance(stage, Coded) else stage(x)
            level = index - self.first
            if not self.training or level > self.position - 1:
                images += [self.heads[level](x)] if level >= 0 else []
        size = self.growth.size
        if self.training:
            newest = enlarged(images[-1], size)
            alpha = 1 - (reached - self.position)
            return newest if alpha == 1 else torch.lerp(enlarged(images[-2], size), newest, alpha)
        position = self.growth.position(self.step)
        levels = torch.arange(len(images), dtype=torch.float64, device=z.device)
        weights = (1 - (position - levels).abs()).clamp(min=0).to(x.dtype)
        mixed = [weights[level] * enlarged(image, size) for level, image in enumerate(images)]
        return torch.stack(mixed).sum(0)


def _stage(
    make: LayerFactory, plan: GeneratorPlan, inputs: int, outputs: int, size: int
) -> nn.Module:
    """From z to 4×4, or from half the size to `size`; then `depth` − 1 convolutions."""
    fan, bias = outputs * make.outputs_per_channel, make.biased()
    if size == SMALLEST:
        entry = projection(make, inputs, outputs, bias=False)
        shift = [ChannelBias(outputs)] if bias else []
        modules = [*entry, *shift, *make.activated(outputs)]
    else:
        modules = make.unit(upsample(make, plan.upsample, inputs, fan, size, bias=bias), outputs)
        modules += make.inserted(size, outputs)
    for _ in range(plan.depth - 1):
        modules += make.unit([make.conv(outputs, fan, resolution=size, bias=bias)], outputs)
    return sequence(modules)


class GrowingTrunk(nn.Module):
    """(N, inputs, size, size) at any size that it has reached → features (N, F)."""

    def __init__(
        self,
        plan: DiscriminatorPlan,
        growth: Growth,
        make: LayerFactory,
        inputs: int,
        widest: int,
    ) -> None:
        super().__init__()
        self.growth = growth
        channels = channels_by_size(plan, widest)
        count = len(channels)
        self.first = halvings(growth.start, SMALLEST)
        self.entries, self.blocks = nn.ModuleList(), nn.ModuleList()
        bias = make.biased(normalised=False)
        for index in range(self.first, count):
            conv = make.conv(inputs, channels[index], 1, resolution=SMALLEST << index, bias=bias)
            self.entries.append(nn.Sequential(conv, make.activation()))
        for index in range(1, count):
            size = SMALLEST << index
            self.blocks.append(_block(make, plan, channels[index], channels[index - 1], size))
        maps = make.appended(SMALLEST, channels[0])
        last = channels[0] + len(maps)
        modules = list(maps)
        for _ in range(plan.depth - 1):
            conv = make.conv(last, channels[0], resolution=SMALLEST, bias=make.biased())
            modules += make.unit([conv], channels[0])
            last = channels[0]
        cells = last * SMALLEST * SMALLEST
        dense = make.linear(cells, channels[0], bias=bias)
        self.last = nn.Sequential(*modules, nn.Flatten(), dense, make.activation())
        self.features = channels[0]
        self.position = 0.0

    def grow(self, step: int) -> None:
        """Judge images as after `step` steps."""
        self.position = float(self.growth.position(torch.tensor(step)))

    def forward(self, images: Tensor) -> Tensor:
        level = halvings(images.shape[-1], self.growth.start)
        x = self.entries[level](images)
        alpha = 1 - (level - self.position)
        for index in reversed(range(self.first + level)):
            x = self.blocks[index](x)
            if index == self.first + level - 1 and alpha < 1:
                coarse = pooled(images, images.shape[-1] // 2)
                x = torch.lerp(self.entries[level - 1](coarse), x, alpha)
        features: Tensor = self.last(x)
        return features


def _block(
    make: LayerFactory, plan: DiscriminatorPlan, inputs: int, outputs: int, size: int
) -> nn.Module:
    """`depth` − 1 convolutions at `size`, then one that halves it."""
    bias, modules = make.biased(), list[nn.Module]()
    for _ in range(plan.depth - 1):
        modules += make.unit([make.conv(inputs, inputs, resolution=size, bias=bias)], inputs)
    halved = downsample(make, plan.downsample, inputs, outputs, size // 2, bias=bias)
    modules += make.unit(halved, outputs)
    modules += make.inserted(size // 2, outputs)
    return nn.Sequential(*modules)


class GrowingDiscriminator(Discriminator):
    """Images at the size that it has reached, labels → a judgement."""

    def __init__(self, plan: DiscriminatorPlan, growth: Growth, *, widest: int) -> None:
        make = LayerFactory(plan)
        entry = labelled_input(plan)
        trunk = GrowingTrunk(plan, growth, make, input_channels(plan, entry), widest)
        super().__init__(plan, make, entry, [trunk], trunk.features)

    def grow(self, step: int) -> None:
        """Judge images as after `step` steps."""
        for part in self.trunk:
            if isinstance(part, GrowingTrunk):
                part.grow(step)
