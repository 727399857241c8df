"""What a file may say about the optimisers: one for each player, chosen by name.

Two time-scale update rule: Heusel et al. 2017, arXiv:1706.08500.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from trials.by_name import ByName
from trials.optimization.optimizer import Optimizer
from trials.settings import Settings

AnyOptimizer = Annotated[Any, ByName(Optimizer, default="adam")]


class OptimizersConfig(Settings):
    """Both players' optimisers."""

    model_config = ConfigDict(validate_default=True)

    generator: AnyOptimizer = Field(default="adam", description="the generator's")
    discriminator: AnyOptimizer = Field(default="adam", description="the discriminator's")
