"""The trials of a search as a sampler sees them at one rung of its stopping rule.

A rung is a step at which the rule compares trials; above the last of them stands the end of a
training. A sampler compares at the highest rung to which enough trials have come, and there every
trial counts by its value at that step: those that have ended, those that were stopped there or
later, and those that still run. What was stopped before stands behind all of these, the further
the earlier.

Falkner et al. 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, arXiv
1807.01774, section 4: there, what has not come to the largest budget with enough observations is
left out. Here it counts as bad, since the rule has found it so.
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
    """Shows the trials of one search at the highest rung to which `enough` of them have come; as
    they are, where there is none."""

    def __init__(self, rule: StoppingRule, enough: int) -> None:
        self._rule = rule
        self._enough = enough
        self._reached = EachOnce(_reached)
        self._rung = _END
        self._shown = EachOnce(partial(_at, _END))

    def of(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials, in their order: those that have come to the rung as if they had completed
        with their value there."""
        rung = self._choose(self._reached.of(trials))
        if rung != self._rung:
            self._rung, self._shown = rung, EachOnce(partial(_at, rung))
        return self._shown.of(trials)

    def _choose(self, reached: Sequence[float]) -> float:
        furthest = nlargest(self._enough, reached)
        if len(furthest) < self._enough or furthest[-1] == _END:
            return _END
        return max(self._rule.rungs(int(furthest[-1])), default=_END)


def _reached(trial: FrozenTrial) -> float:
    """The last step of a trial that was measured; 0 before any."""
    return _END if trial.state == TrialState.COMPLETE else max(trial.intermediate_values, default=0)


def _at(rung: float, trial: FrozenTrial) -> FrozenTrial:
    """The trial with its value at a rung, where it has come so far."""
    curve = trial.intermediate_values
    step = min((step for step in curve if step >= rung), default=None)
    return trial if step is None else with_values(trial, [curve[step]])
