"""Minibatch standard deviation (Karras et al., arXiv:1710.10196, section 3).

Over groups of `group` samples: the standard deviation of every feature at every place, averaged
over both, is one number a group; as a constant extra map it tells the discriminator how varied
the group is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trials.networks.layers.exact import exact_inside


def group_deviation(x: Tensor, groups: int, eps: float = 1e-8) -> Tensor:
    """(N, C, H, W) → (groups,), one number a group; sample i is in group i mod groups."""
    if len(x) % groups:
        return torch.cat([group_deviation(x[first::groups], 1, eps) for first in range(groups)])
    grouped = x.view(-1, groups, *x.shape[1:])
    # √(E_group (x − E_group x)² + ε), averaged over C, H and W
    deviation = (grouped.var(0, correction=0) + eps).sqrt()
    return deviation.mean((1, 2, 3))


class MinibatchStddev(nn.Module):
    """(N, C, H, W) → (N, C + 1, H, W). The batch is dealt to as many groups of at least `group`
    samples as there can be; a smaller one is a group of its own."""

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    @exact_inside
    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        groups = max(1, count // self.group)
        deviation = group_deviation(x, groups).repeat(-(-count // groups))[:count]
        return torch.cat([x, deviation[:, None, None, None].expand(count, 1, height, width)], 1)

    def extra_repr(self) -> str:
        return f"group={self.group}"
