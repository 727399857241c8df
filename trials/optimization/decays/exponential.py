"""Exponential decay: fᵖ, to 1e-3 where f is 0."""

from __future__ import annotations

from trials.optimization.decay import Decay


class Exponential(Decay):
    """By the same share in the same time."""

    key = "exponential"
    summary = "geometrically, to 1e-3 where no end is given"

    @staticmethod
    def factor(progress: float, floor: float) -> float:
        # fᵖ
        return float((floor or 1e-3) ** progress)
