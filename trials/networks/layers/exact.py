"""What is computed in float32 though the network around it computes in half the bits.

Under autocast (`precision.dtype`) convolutions and linear maps compute in bfloat16 or float16.
Statistics, softmaxes, power iterations and the last layer need every bit that there is: sums over a
batch lose the small differences that they are taken for, and a score of 8 bits gives a loss of 8
bits. A `forward` that is marked `exact` gives float32; one that is marked `exact_inside` gives what
it was given. Without autocast either is as it stands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

HALVES = (torch.bfloat16, torch.float16)

Forward = TypeVar("Forward", bound=Callable[..., Any])


def whole(x: Any) -> Any:
    """A tensor of half the bits in float32; anything else as it is."""
    return x.float() if isinstance(x, Tensor) and x.dtype in HALVES else x


def exact(forward: Forward) -> Forward:
    """Let a module's `forward`, whose first argument is a tensor, compute in float32."""

    @functools.wraps(forward)
    def in_float32(self: nn.Module, x: Tensor, *rest: Any) -> Any:
        # Of `meta`, where only shapes are computed, torch refuses to be asked.
        if x.device.type == "meta" or not torch.is_autocast_enabled(x.device.type):
            return forward(self, x, *rest)
        with torch.autocast(x.device.type, enabled=False):
            return forward(self, whole(x), *map(whole, rest))

    return in_float32  # type: ignore[return-value]


def exact_inside(forward: Forward) -> Forward:
    """The same, whose result, a tensor, has the type of the first argument again."""
    in_float32: Callable[..., Tensor] = exact(forward)

    @functools.wraps(forward)
    def as_given(self: nn.Module, x: Tensor, *rest: Any) -> Tensor:
        return in_float32(self, x, *rest).to(x.dtype)

    return as_given  # type: ignore[return-value]


class _ExactConv2d(nn.Conv2d):
    forward = exact(nn.Conv2d.forward)


class _ExactConvTranspose2d(nn.ConvTranspose2d):
    forward = exact(nn.ConvTranspose2d.forward)


class _ExactLinear(nn.Linear):
    forward = exact(nn.Linear.forward)


_EXACT: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: _ExactConv2d,
    nn.ConvTranspose2d: _ExactConvTranspose2d,
    nn.Linear: _ExactLinear,
}


def made_exact(layer: nn.Module) -> nn.Module:
    """The same weight layer, computing in float32. Its name in a checkpoint is what it was, which
    a module around it would change."""
    layer.__class__ = _EXACT.get(type(layer), type(layer))
    return layer
