"""A stand-in for compiled networks: they compute as written, and are differentiated only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from trials.engine import compiled


@contextmanager
def differentiated_once() -> Iterator[None]:
    """Inside, networks of trials whose `compile` is on are not compiled, and refuse a second
    derivative as those do (pytorch#91469)."""
    with mock.patch.object(compiled, "compiled", _once):
        yield


def _once(network: nn.Module) -> Callable[..., Any]:
    return lambda *given: tree_map_only(Tensor, _Once.apply, network(*given))


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Refused.apply(gradient, *ctx.saved_tensors)  # type: ignore[no-untyped-call]


class _Refused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, _: Tensor) -> Tensor:
        # Of the network's result, so that it depends on what that depends on.
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> Any:
        raise RuntimeError(f"torch.compile with aot_autograd {compiled.REFUSAL}")
