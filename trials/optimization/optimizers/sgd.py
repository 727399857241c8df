"""Stochastic gradient descent, with momentum where it is given."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from trials.optimization.optimizer import Optimizer
from trials.part import knob


class SGD(Optimizer):
    """Straight down the gradient."""

    key = "sgd"
    summary = "stochastic gradient descent"
    not_capturable = ""

    class Config(Optimizer.Config):
        """The settings of stochastic gradient descent."""

        momentum: float = knob(0.0, "momentum", ge=0, lt=1)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            list(parameters),
            lr=self.config.lr,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
        )
