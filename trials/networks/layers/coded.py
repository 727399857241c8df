"""Modules that read a code beside their input, and sequences of them.

A code is a matrix (N, K) that a block of the generator reads beside its feature maps: the class,
a share of z, or both. A chain in which nothing reads a code is a plain `nn.Sequential`.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


class Coded(nn.Module):
    """A module called with `(x, code)`."""


class CodedSequential(nn.Sequential, Coded):
    """A sequence that hands its code to those of its modules that read one."""

    def forward(self, x: Tensor, code: Tensor) -> Tensor:  # type: ignore[override]
        for module in self:
            x = module(x, code) if isinstance(module, Coded) else module(x)
        return x


def sequence(modules: Iterable[nn.Module]) -> nn.Module:
    """One module of several: itself where there is one, coded where one of them is."""
    modules = list(modules)
    if len(modules) == 1:
        return modules[0]
    coded = any(isinstance(module, Coded) for module in modules)
    return CodedSequential(*modules) if coded else nn.Sequential(*modules)
