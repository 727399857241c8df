"""Asynchronous successive halving: at each rung one trial of so many goes on.

Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, arXiv 1810.05934.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.search.halving import Halving
from sweeper.search.stopping_rule import Curve, GraceConfig, StoppingRule
from trials.part import knob


class Asha(StoppingRule):
    """Stops a trial that is not among the best share at a rung."""

    key = "asha"
    summary = "asynchronous successive halving"

    class Config(GraceConfig):
        reduction_factor: int = knob(
            3, "of this many trials one goes on at each rung", ge=2, le=100
        )

    def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        rule = Halving(self.config.grace_steps, self.config.reduction_factor, self.maximize)
        return rule(number, curves)
