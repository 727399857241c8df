"""RMSprop (Tieleman and Hinton 2012, lecture 6.5), which WGAN was trained by (arXiv:1701.07875)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from trials.optimization.optimizer import Optimizer
from trials.part import knob


class RMSprop(Optimizer):
    """Gradients divided by the root of their mean square."""

    key = "rmsprop"
    summary = "RMSprop"
    not_capturable = ""

    class Config(Optimizer.Config):
        """The settings of RMSprop."""

        alpha: float = knob(0.99, "smoothing constant", ge=0, lt=1)
        momentum: float = knob(0.0, "momentum", ge=0, lt=1)
        eps: float = knob(1e-8, "stabiliser", gt=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            list(parameters),
            lr=self.config.lr,
            alpha=self.config.alpha,
            eps=self.config.eps,
            momentum=self.config.momentum,
            weight_decay=self.config.weight_decay,
        )
