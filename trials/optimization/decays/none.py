"""No decay: 1 throughout."""

from __future__ import annotations

from trials.optimization.decay import Decay


class Constant(Decay):
    """Nothing falls."""

    key = "none"
    summary = "the same throughout"

    @staticmethod
    def factor(progress: float, floor: float) -> float:
        return 1.0
