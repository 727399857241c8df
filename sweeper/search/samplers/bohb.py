"""A model of what a search's trials were worth part of the way: for searches under asha.

Falkner et al. 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, arXiv
1807.01774. Few trials of a search that stops early come to their end. So the model is not made of
final values, but of those at the highest step that enough trials have reached, whatever became of
them later. As in the paper a share of the proposals is left to chance, and before a step has enough
values all of them are.

The paper's budgets are rungs; here a step is whatever trials were evaluated at. The densities are
those of Optuna's TPE, with which what was stopped before that step counts as bad.
"""

from __future__ import annotations

import math
from functools import cached_property
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from sweeper.parts import LearningConfig
from sweeper.search.each_once import EachOnce
from sweeper.search.optuna_sampler import OptunaSampler
from sweeper.search.sampler import Turn, independent
from sweeper.search.stopping_rule import first_at
from sweeper.sweepfile.space import Draw, walk
from trials.part import knob

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from sweeper.search.looked_at import LookedAt


class Bohb(OptunaSampler):
    """TPE over the values of one step, which rises as trials go further."""

    key = "bohb"
    summary = "TPE over the values of the highest step that enough trials have reached"

    class Config(LearningConfig):
        needed: int | None = knob(
            None,
            "trials that must have reached a step before it is modelled; by default one more than "
            "there are parameters",
            ge=2,
        )
        chance: float = knob(1 / 3, "share of the proposals that are left to chance", ge=0, lt=1)
        candidates: int = knob(64, "points that are compared for one proposal", ge=1)

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self._needed,
            n_ei_candidates=self.config.candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )

    def propose(self, turn: Turn) -> Draw:
        if not turn.fixed and turn.seed("chance") < self.config.chance * 2**32:
            return walk(self.sweep, independent(turn))
        return super().propose(turn)

    def seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials as they were at the modelled step; none while no step has enough values."""
        softened = self._softened.of(trials)
        reached = [max(trial.intermediate_values, default=0) for trial in softened]
        step = nlargest(self._needed, reached)[-1] if len(reached) >= self._needed else 0
        if not step:
            return []
        return self._looked_at.of([self._at(trial, step) for trial in softened])

    @property
    def _needed(self) -> int:
        given: int | None = self.config.needed
        return len(self.sweep.parameters) + 1 if given is None else given

    def _at(self, trial: FrozenTrial, step: int) -> FrozenTrial:
        """A trial as one that ended at this step, where it got so far."""
        from sweeper.search.sampler_view import with_values

        there = first_at(trial.intermediate_values, step)
        if there is None or not math.isfinite(trial.intermediate_values[there]):
            return trial
        return with_values(trial, [trial.intermediate_values[there]])

    @cached_property
    def _softened(self) -> EachOnce[Any, Any]:
        from sweeper.search.sampler_view import failure_pruned

        return EachOnce(failure_pruned)

    @cached_property
    def _looked_at(self) -> LookedAt:
        from sweeper.search.looked_at import LookedAt

        return LookedAt(self.signs)
