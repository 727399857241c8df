"""Asynchronous successive halving: at each rung one trial of so many goes on.

Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, arXiv 1810.05934.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from sweeper.search.halving import Halving
from sweeper.search.stopping_rule import Curve, GraceConfig, StoppingRule
from trials.part import knob


class Asha(StoppingRule):
    """Stops a trial that is not among the best share at a rung."""

    key = "asha"
    summary = "asynchronous successive halving"

    has_rungs = True

    class Config(GraceConfig):
        reduction_factor: int = knob(
            3, "of this many trials one goes on at each rung", ge=2, le=100
        )

    @cached_property
    def _halving(self) -> Halving:
        return Halving(self.config.grace_steps, self.config.reduction_factor, self.maximize)

    def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        return self._halving(number, curves)

    def rungs(self, last: int) -> Iterable[int]:
        return self._halving.rungs(last)
