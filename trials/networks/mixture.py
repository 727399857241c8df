"""Several generators sampled as one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def shares(z: Tensor, count: int) -> Tensor:
    """Which of `count` members makes each sample: z (N, latent) → (N,), each equally often.

    Read off the digits of Σ z after the third decimal: a sample's maker depends on nothing but its
    own z, so that the same z gives the same image in any batch.
    """
    digits = z.to(torch.float64).sum(1) * 1000
    return ((digits - digits.floor()) * count).to(torch.int64).clamp(max=count - 1)


class Mixture(nn.Module):
    """Each sample is made by one of the members, chosen by its z.

    Every member makes the whole batch: dearer than sending each its part, but batch statistics
    can be taken, and `torch.export` can trace it.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, z: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        """What one of the members makes of z, labels and condition."""
        made = torch.stack([member(z, labels, condition) for member in self.members])
        chosen = shares(z, len(self.members)).view(1, -1, *[1] * (made.dim() - 2))
        return made.gather(0, chosen.expand(1, *made.shape[1:])).squeeze(0)
