"""Ways to double or halve the size of feature maps, each with the convolution that belongs to it.

Doubling: `transposed` (kernel 4, stride 2: divisible, so without uneven overlap),
`nearest_conv` and `bilinear_conv` (resize, then convolve; Odena et al. 2016),
`pixel_shuffle` (arXiv:1609.05158). Halving: `strided` (kernel 4, stride 2),
`average_pool` and `max_pool` after a convolution of kernel 3.

`shortcut` forms are the same with the smallest kernel, for the skip path of a residual block.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from trials.networks.layers.factory import LayerFactory

Resampler = Callable[[LayerFactory, int, int, int, bool, bool, bool], list[nn.Module]]
"""(factory, inputs, outputs, resolution after, bias, shortcut, last) → modules."""


def _transposed(
    make: LayerFactory, inputs: int, outputs: int, size: int, bias: bool, shortcut: bool, last: bool
) -> list[nn.Module]:
    kernel = 2 if shortcut else 4
    return [make.transposed(inputs, outputs, kernel, resolution=size, bias=bias, last=last)]


def _resize(mode: str) -> Resampler:
    def up(
        make: LayerFactory,
        inputs: int,
        outputs: int,
        size: int,
        bias: bool,
        shortcut: bool,
        last: bool,
    ) -> list[nn.Module]:
        resize = nn.Upsample(scale_factor=2, mode=mode)
        kernel = 1 if shortcut else 3
        conv = make.conv(inputs, outputs, kernel, resolution=size, bias=bias, last=last)
        # A 1×1 convolution commutes with resizing, and costs a quarter before it.
        return [conv, resize] if shortcut else [resize, conv]

    return up


def _pixel_shuffle(
    make: LayerFactory, inputs: int, outputs: int, size: int, bias: bool, shortcut: bool, last: bool
) -> list[nn.Module]:
    kernel = 1 if shortcut else 3
    conv = make.conv(inputs, 4 * outputs, kernel, resolution=size // 2, bias=bias, last=last)
    return [conv, nn.PixelShuffle(2)]


def _strided(
    make: LayerFactory, inputs: int, outputs: int, size: int, bias: bool, shortcut: bool, last: bool
) -> list[nn.Module]:
    kernel = 2 if shortcut else 4
    return [make.conv(inputs, outputs, kernel, stride=2, resolution=size, bias=bias, last=last)]


def _pool(pool: type[nn.Module]) -> Resampler:
    def down(
        make: LayerFactory,
        inputs: int,
        outputs: int,
        size: int,
        bias: bool,
        shortcut: bool,
        last: bool,
    ) -> list[nn.Module]:
        if shortcut:
            return [pool(2), make.conv(inputs, outputs, 1, resolution=size, bias=bias, last=last)]
        return [make.conv(inputs, outputs, resolution=2 * size, bias=bias, last=last), pool(2)]

    return down


UPSAMPLERS: dict[str, Resampler] = {
    "transposed": _transposed,
    "nearest_conv": _resize("nearest"),
    "bilinear_conv": _resize("bilinear"),
    "pixel_shuffle": _pixel_shuffle,
}

DOWNSAMPLERS: dict[str, Resampler] = {
    "strided": _strided,
    "average_pool": _pool(nn.AvgPool2d),
    "max_pool": _pool(nn.MaxPool2d),
}


def upsample(
    make: LayerFactory,
    kind: str,
    inputs: int,
    outputs: int,
    resolution: int,
    *,
    bias: bool = True,
    shortcut: bool = False,
    last: bool = False,
) -> list[nn.Module]:
    """Modules from (N, inputs, r/2, r/2) to (N, outputs, r, r)."""
    return UPSAMPLERS[kind](make, inputs, outputs, resolution, bias, shortcut, last)


def downsample(
    make: LayerFactory,
    kind: str,
    inputs: int,
    outputs: int,
    resolution: int,
    *,
    bias: bool = True,
    shortcut: bool = False,
    last: bool = False,
) -> list[nn.Module]:
    """Modules from (N, inputs, 2r, 2r) to (N, outputs, r, r)."""
    return DOWNSAMPLERS[kind](make, inputs, outputs, resolution, bias, shortcut, last)
