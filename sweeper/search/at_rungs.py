"""The trials of a search as a sampler sees them at one rung of its stopping rule.

A rung is a step at which the rule compares trials; above the last of them stands the end of a
training. A sampler compares at the highest rung to which enough trials have come, and there every
trial counts by its value at that step: those that have ended, those that were stopped there or
later, and those that still run. What was stopped before is left out.

Falkner et al. 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, arXiv
1807.01774, section 4. Here a trial that fell apart stays bad at every rung, and one that has not
come to the rung yet counts as it does for `tpe`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from heapq import nlargest

from optuna.trial import FrozenTrial, TrialState

from sweeper.search.each_once import EachOnce
from sweeper.search.sampler_view import with_values
from sweeper.search.stopping_rule import StoppingRule

_END = math.inf
"""The rung of those that have completed."""


class AtRungs:
    """Shows the trials of one search at the highest rung to which `enough` of them have come; all
    as they are, where there is none."""

    def __init__(self, rule: StoppingRule, enough: int) -> None:
        self._rule = rule
        self._enough = enough
        self._reached = EachOnce(_reached)
        self._rung = _END
        self._shown = EachOnce(partial(_at, _END))

    def of(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials that a model is to see, in their order: those that have come to the rung as if
        they had completed with their value there."""
        rung = self._choose(self._reached.of(trials))
        if rung is None:
            return trials
        if rung != self._rung:
            self._rung, self._shown = rung, EachOnce(partial(_at, rung))
        return [trial for trial in self._shown.of(trials) if trial is not None]

    def _choose(self, reached: Sequence[float]) -> float | None:
        furthest = nlargest(self._enough, reached)
        if len(furthest) < self._enough:
            return None
        least = furthest[-1]
        return _END if least == _END else max(self._rule.rungs(int(least)), default=None)


def _reached(trial: FrozenTrial) -> float:
    """The last step of a trial that was measured; 0 before any."""
    return _END if trial.state == TrialState.COMPLETE else max(trial.intermediate_values, default=0)


def _at(rung: float, trial: FrozenTrial) -> FrozenTrial | None:
    """The trial with its value at a rung; None of one that was stopped before it."""
    curve = trial.intermediate_values
    step = min((step for step in curve if step >= rung), default=None)
    if step is not None:
        return with_values(trial, [curve[step]])
    return None if curve and trial.state == TrialState.PRUNED else trial
