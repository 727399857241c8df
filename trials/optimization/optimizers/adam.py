"""Adam (Kingma and Ba 2014, arXiv:1412.6980), in torch's fused form."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from trials.optimization.optimizer import Optimizer
from trials.part import knob


class Adam(Optimizer):
    """Moments of first and second order."""

    key = "adam"
    summary = "Adam"
    not_capturable = ""

    class Config(Optimizer.Config):
        """The settings of Adam."""

        beta1: float = knob(
            0.5, "first-moment decay", ge=0, lt=1, search={"values": [0.0, 0.5, 0.9]}
        )
        beta2: float = knob(0.999, "second-moment decay", ge=0, lt=1)
        eps: float = knob(1e-8, "stabiliser", gt=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return self._made(torch.optim.Adam, parameters)

    def _made(
        self, form: type[torch.optim.Adam], parameters: Iterable[nn.Parameter]
    ) -> torch.optim.Optimizer:
        return form(
            list(parameters),
            lr=self.config.lr,
            betas=(self.config.beta1, self.config.beta2),
            eps=self.config.eps,
            weight_decay=self.config.weight_decay,
            fused=True,
        )
