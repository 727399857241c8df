"""How the two players learn: optimisers, and the decay of their rates."""

from trials.optimization.config import OptimizersConfig
from trials.optimization.decay import Decay
from trials.optimization.optimizer import Optimizer

__all__ = ["Decay", "Optimizer", "OptimizersConfig"]
