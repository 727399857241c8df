"""What an optimiser is: the base class, and the settings that all optimisers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import torch
from torch import nn

from trials.choices import Key
from trials.optimization.decay import Decay
from trials.part import Part, PartConfig, knob

WRITTEN_FOR_ALL = {"beta1": 0.5, "beta2": 0.999, "alpha": 0.99, "momentum": 0.0, "eps": 1e-8}
"""What records of version 0.1 say of every optimiser, also of one that has no such knob."""


class Optimizer(Part, ABC):
    """An optimiser, bound to its settings."""

    kind = "optimizer"
    folders = ("trials.optimization.optimizers",)

    not_capturable: ClassVar[str] = "it does not say that a graph may repeat its step"
    """Why a step of it cannot be captured as a CUDA graph and replayed; empty where it can, since
    all that it remembers is on the device and stays where it is."""

    class Config(PartConfig):
        """The settings of one player's optimiser."""

        part: ClassVar[type[Optimizer]]

        lr: float = knob(
            2e-4, "learning rate", gt=0, le=1,
            search={"min": 1e-5, "max": 1e-2, "distribution": "log_uniform"},
        )  # fmt: skip
        weight_decay: float = knob(0.0, "L2 (adamw: decoupled) decay", ge=0)
        decay: Annotated[str, Key(Decay)] = knob(
            "none", "learning-rate schedule: how the rate falls over the training"
        )
        decay_to: float = knob(0.0, "share of the rate that is left at the end", ge=0, le=1)

        @classmethod
        def counted(cls, given: Mapping[str, Any]) -> dict[str, Any]:
            return {
                name: value
                for name, value in given.items()
                if name in cls.model_fields or WRITTEN_FOR_ALL.get(name, ...) != value
            }

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of torch for these parameters, at the learning rate of the start."""

    def rate(self, progress: float) -> float:
        """The learning rate when `progress` in [0, 1] of the training is done."""
        factor = Decay.named(self.config.decay).left(progress, self.config.decay_to)
        return float(self.config.lr * factor)
