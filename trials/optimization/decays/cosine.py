"""Cosine decay (Loshchilov and Hutter 2016, arXiv:1608.03983): f + (1 − f)(1 + cos πp)/2."""

from __future__ import annotations

import math

from trials.optimization.decay import Decay


class Cosine(Decay):
    """Half a cosine."""

    key = "cosine"
    summary = "along half a cosine"

    @staticmethod
    def factor(progress: float, floor: float) -> float:
        # f + (1 − f)(1 + cos πp)/2
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
