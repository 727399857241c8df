"""Linear decay: 1 − (1 − f) p."""

from __future__ import annotations

from trials.optimization.decay import Decay


class Linear(Decay):
    """A straight line."""

    key = "linear"
    summary = "in a straight line"

    @staticmethod
    def factor(progress: float, floor: float) -> float:
        # 1 − (1 − f) p
        return 1 - (1 - floor) * progress
