"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2017, arXiv:1711.05101)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from trials.optimization.optimizers.adam import Adam


class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments."""

    key = "adamw"
    summary = "Adam with decoupled weight decay"

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return self._made(torch.optim.AdamW, parameters)
