"""Normalisations by name, for feature maps (N, C, H, W) and for vectors (N, C).

Every one can be built with learned gains and biases (`affine`) or without, where another
module supplies them (`ConditionalNorm`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trials.networks.layers.coded import Coded
from trials.networks.layers.exact import exact_inside
from trials.networks.layers.switchable import SwitchableNorm
from trials.networks.layers.virtual_batch import VirtualBatchNorm


class PixelNorm(nn.Module):
    """b = a / √(mean over channels of a² + ε), at every pixel; arXiv:1710.10196, section 4.2."""

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    @exact_inside
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + self.eps)


class ConditionalNorm(Coded):
    """A normalisation whose gains and biases come from a code.

    y = norm(x) · (1 + W_g c) + W_b c; c is a one-hot class (arXiv:1707.00683; a row of W_g and
    W_b a class, as cGANs with projection use it), or a class embedding joined to a share of z
    (BigGAN, arXiv:1809.11096, appendix B). Without a normalisation it is the modulation alone.
    """

    def __init__(self, norm: nn.Module | None, gain: nn.Module, bias: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.gain = gain
        self.bias = bias

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(N, C, …), (N, K) → (N, C, …)."""
        if self.norm is not None:
            x = self.norm(x)
        gain, bias = (self.gain(code) + 1).to(x.dtype), self.bias(code).to(x.dtype)
        if x.dim() > 2:
            gain, bias = gain[:, :, None, None], bias[:, :, None, None]
        return torch.addcmul(bias, x, gain)


def _batch(channels: int, affine: bool, spatial: bool) -> nn.Module:
    norm = nn.BatchNorm2d if spatial else nn.BatchNorm1d
    return norm(channels, affine=affine)


def _instance(channels: int, affine: bool, spatial: bool) -> nn.Module:
    if not spatial:
        raise ValueError("instance normalisation needs feature maps: one value has no deviation")
    return nn.InstanceNorm2d(channels, affine=affine)


def _layer(channels: int, affine: bool, spatial: bool) -> nn.Module:
    # One group is layer normalisation over C, H and W with gains and biases by channel.
    return nn.GroupNorm(1, channels, affine=affine)


def _pixel(channels: int, affine: bool, spatial: bool) -> nn.Module:
    return PixelNorm()


def _switchable(channels: int, affine: bool, spatial: bool) -> nn.Module:
    return SwitchableNorm(channels, affine=affine, spatial=spatial)


def _virtual_batch(channels: int, affine: bool, spatial: bool) -> nn.Module:
    return VirtualBatchNorm(channels, affine=affine)


NORMS: dict[str, Callable[[int, bool, bool], nn.Module]] = {
    "batch": _batch,
    "instance": _instance,
    "layer": _layer,
    "pixel": _pixel,
    "switchable": _switchable,
    "virtual_batch": _virtual_batch,
}

FOLLOWS_ACTIVATION = frozenset({"pixel"})
"""Those that stand after a convolution's activation, as their paper has it, not before it."""

CENTRING = frozenset({"batch", "instance", "virtual_batch"})
"""Those that subtract a channel's own mean, and so cancel any bias added just before."""
