"""Minibatch discrimination (Salimans et al., arXiv:1606.03498, section 3.2).

Lets the discriminator see how alike the samples of a batch are. With features f(x_i) ∈ R^A and a
learned T ∈ R^{A×B×C}::

    M_i = f(x_i) T ∈ R^{B×C},   o(x_i)_b = Σ_j exp(−‖M_ib − M_jb‖₁)

joined to f(x_i). The sum takes in j = i, as the paper's does, which adds 1 to every output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trials.networks.layers.exact import exact
from trials.networks.layers.factory import StartedLinear


def similarities(projected: Tensor) -> Tensor:
    """o of projected features M: (N, B, C) → (N, B), each in [1, N]."""
    # ‖M_ib − M_jb‖₁ for all pairs, (N, N, B), added up one number of C after the other: all at
    # once, (N, N, B, C) would be C times as much memory to walk through.
    parts = projected.permute(2, 0, 1).contiguous()
    distances = sum(((c[:, None] - c[None]).abs() for c in parts), projected.new_zeros(()))
    return torch.exp(-distances).sum(1)


class MinibatchDiscrimination(nn.Module):
    """(N, A) → (N, A + kernels). T starts at N(0, 1/A), so that distances start near C. It is a
    linear map like any other: spectral norm divides it by its largest singular value."""

    def __init__(self, features: int, kernels: int = 50, dimensions: int = 5) -> None:
        super().__init__()
        self.kernels = kernels
        self.dimensions = dimensions
        self.project = StartedLinear(features, kernels * dimensions, bias=False)
        nn.init.normal_(self.project.weight, 0.0, features**-0.5)

    @exact
    def forward(self, features: Tensor) -> Tensor:
        projected = self.project(features).view(-1, self.kernels, self.dimensions)
        return torch.cat([features, similarities(projected)], 1)
