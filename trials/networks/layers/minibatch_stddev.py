"""Minibatch standard deviation (Karras et al., arXiv:1710.10196, section 3); source document 001.

Over groups of `group` samples: the standard deviation of every feature at every place, averaged
over both, is one number a group; as a constant extra map it tells the discriminator how varied
the group is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def group_deviation(x: Tensor, group: int, eps: float = 1e-8) -> Tensor:
    """(N, C, H, W) → (N/group,), one number a group; sample i is in group i mod (N/group)."""
    grouped = x.view(group, -1, *x.shape[1:])
    # √(E_group (x − E_group x)² + ε), averaged over C, H and W
    deviation = (grouped.var(0, correction=0) + eps).sqrt()
    return deviation.mean((1, 2, 3))


class MinibatchStddev(nn.Module):
    """(N, C, H, W) → (N, C + 1, H, W). A batch that `group` does not divide takes the largest
    group that does."""

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        group = math.gcd(self.group, count)
        deviation = group_deviation(x, group).repeat(group)
        return torch.cat([x, deviation[:, None, None, None].expand(count, 1, height, width)], 1)

    def extra_repr(self) -> str:
        return f"group={self.group}"
