"""A residual block: a main path and a shortcut that are added."""

from __future__ import annotations

from torch import Tensor, nn

from trials.networks.layers.coded import Coded, sequence


class Residual(nn.Module):
    """main(x) + shortcut(x); without a shortcut, x itself."""

    def __init__(self, main: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.shortcut is None else self.shortcut(x)
        total: Tensor = self.main(x) + kept
        return total


class CodedResidual(Coded):
    """The same with a main path that reads a code."""

    def __init__(self, main: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        kept = x if self.shortcut is None else self.shortcut(x)
        total: Tensor = self.main(x, code) + kept
        return total


def residual(main: list[nn.Module], shortcut: list[nn.Module]) -> nn.Module:
    """The block of these paths; an empty shortcut is the identity."""
    path = sequence(main)
    kept = sequence(shortcut) if shortcut else None
    return CodedResidual(path, kept) if isinstance(path, Coded) else Residual(path, kept)
