"""Activations by name, and maxout (Goodfellow et al., arXiv:1302.4389)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "silu": nn.SiLU,
}
"""`leaky` has DCGAN's slope of 0.2. `maxout` stands apart: it shrinks what it reads."""


class Maxout(nn.Module):
    """(N, C·pieces) → (N, C): the largest of each group of `pieces` linear functions."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        # shape[0], not len, which a trace would fix
        # h_i = max_j (xᵀW_ij + b_ij); max, not amax, whose backward costs more, above all twice
        return x.view(x.shape[0], -1, self.pieces).max(2).values

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"
