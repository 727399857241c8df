"""Optimisers of the two players, each with its own settings, and the decay of their rates.

Two time-scale update rule: Heusel et al. 2017, arXiv:1706.08500 (sources 000, 001, 003, 004).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

Decay = Literal["none", "linear", "cosine", "exponential"]


class OptimizerConfig(BaseModel):
    """One player's optimiser."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    lr: float = Field(default=2e-4, gt=0, le=1, description="learning rate")
    beta1: float = Field(default=0.5, ge=0, lt=1, description="adam, adamw: first-moment decay")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="adam, adamw: second-moment decay")
    alpha: float = Field(default=0.99, ge=0, lt=1, description="rmsprop: smoothing constant")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="sgd, rmsprop: momentum")
    eps: float = Field(default=1e-8, gt=0, description="adam, adamw, rmsprop: stabiliser")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 (adamw: decoupled) decay")
    decay: Decay = Field(default="none", description="how the rate falls over the training")
    decay_to: float = Field(
        default=0.0, ge=0, le=1, description="share of the rate that is left at the end"
    )

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of torch, in its fused form where it has one."""
        parameters = list(parameters)
        if self.name in ("adam", "adamw"):
            kind = torch.optim.Adam if self.name == "adam" else torch.optim.AdamW
            return kind(
                parameters,
                lr=self.lr,
                betas=(self.beta1, self.beta2),
                eps=self.eps,
                weight_decay=self.weight_decay,
                fused=True,
            )
        if self.name == "rmsprop":
            return torch.optim.RMSprop(
                parameters,
                lr=self.lr,
                alpha=self.alpha,
                eps=self.eps,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
            )
        return torch.optim.SGD(
            parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def rate(self, progress: float) -> float:
        """The learning rate when ``progress`` in [0, 1] of the training is done."""
        return self.lr * decayed(self.decay, self.decay_to, progress)


def decayed(decay: Decay, floor: float, progress: float) -> float:
    """The factor on the rate: 1 at the start, ``floor`` at the end.

    ``exponential`` falls geometrically, to 1e-3 where ``floor`` is 0.
    """
    if decay == "linear":
        return 1 - (1 - floor) * progress
    if decay == "cosine":
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
    if decay == "exponential":
        return float((floor or 1e-3) ** progress)
    return 1.0


class OptimizersConfig(BaseModel):
    """Both players' optimisers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: OptimizerConfig = OptimizerConfig()
    discriminator: OptimizerConfig = OptimizerConfig()
