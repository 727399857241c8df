"""What one proposal of TPE looks at of a long search: no more than of one of 500 trials.

TPE compares the density of the best trials, of which it takes 25 at most, with the density of all
others. The best are looked at wherever they stand; of the others an even choice tells the density
as well as thousands do. So a proposal costs the same after 10,000 trials as after 500, and up to
500 it is Optuna's own. `benchmarks/proposals.py` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import nsmallest

import numpy as np
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.each_once import EachOnce

MOST = 500
"""Trials that are looked at; those that run are in any case."""

_Rank = tuple[int, float, float]
"""Lower is better: Optuna's order, in which what was pruned stands behind all completed trials."""


class LookedAt:
    """Chooses among the trials of one search. `signs` holds 1 for each objective that is minimised
    and -1 for each that is maximised."""

    def __init__(self, signs: Sequence[int], most: int = MOST) -> None:
        self._signs = signs
        self._most = most
        # As many as Optuna calls good: the best tenth, and of one objective 25 at most.
        self._good = min(25, most // 10) if len(signs) == 1 else most // 10
        self._ranks = EachOnce(self._rank)

    def of(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those of the trials that a proposal looks at, in their order."""
        if len(trials) <= self._most:
            return trials
        ranks = self._ranks.of(trials)
        ranked = [(rank, place) for place, rank in enumerate(ranks) if rank is not None]
        over = [place for _, place in ranked]
        if len(self._signs) == 1:
            good = {place for _, place in nsmallest(self._good, ranked)}
        else:
            good = self._undominated(trials, over)
        others = [place for place in over if place not in good]
        running = (place for place, rank in enumerate(ranks) if rank is None)
        chosen = {*good, *running, *_evenly(others, self._most - self._good)}
        return [trials[place] for place in sorted(chosen)]

    def _rank(self, trial: FrozenTrial) -> _Rank | None:
        """None while the trial runs."""
        sign = self._signs[0]
        if trial.state == TrialState.COMPLETE:
            return 0, 0.0, sign * trial.values[0]
        if trial.state != TrialState.PRUNED:
            return None
        if not trial.intermediate_values:
            return 2, 0.0, 0.0
        step, value = max(trial.intermediate_values.items())
        return 1, -step, math.inf if math.isnan(value) else sign * value

    def _undominated(self, trials: Sequence[FrozenTrial], over: Sequence[int]) -> set[int]:
        """The completed ones that the fewest fronts dominate, of the last front an even choice."""
        complete = [place for place in over if trials[place].state == TrialState.COMPLETE]
        if len(complete) <= self._good:
            return set(complete)
        losses = np.array([trials[place].values for place in complete]) * self._signs
        fronts = _fast_non_domination_rank(losses, n_below=self._good)
        last = np.sort(fronts)[self._good - 1]
        within = [place for place, front in zip(complete, fronts, strict=True) if front < last]
        at_last = [place for place, front in zip(complete, fronts, strict=True) if front == last]
        return {*within, *_evenly(at_last, self._good - len(within))}


def _evenly(places: Sequence[int], count: int) -> list[int]:
    """So many of the places, spread evenly over them; all where there are not as many."""
    step = max(1.0, len(places) / count)
    return [places[int(turn * step)] for turn in range(min(len(places), count))]
