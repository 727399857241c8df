"""Gated convolution (Yu et al., arXiv:1806.03589), for filling holes.

A convolution makes twice the channels; half are features, half are gates::

    output = φ(features) ⊙ σ(gates)

so that the network learns, at every place and channel, what to let through.
"""

from __future__ import annotations

from torch import Tensor, nn


class Gated(nn.Module):
    """(N, 2C, H, W) of a convolution → (N, C, H, W); the features come first."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        features, gates = x.chunk(2, 1)
        gated: Tensor = self.activation(features) * gates.sigmoid()
        return gated
