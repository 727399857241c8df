"""Optuna's model-based samplers, and the study as they see it.

tpe     multivariate, grouped by condition, with constant liar (Bergstra et al. 2011; Falkner et
        al. 2018, arXiv 1807.01774)
gp      Gaussian process with expected improvement
nsga2   Deb et al. 2002, for two objectives

A sampler is made anew for each proposal, seeded by the search's seed and the trial's place: what
it proposes depends on the study alone, so a resumed sweep asks what the uninterrupted one would
have asked.

The study says exactly what happened: a training that fell apart is FAIL and has no value. Optuna's
samplers leave failures out, and would propose the same point again for ever. So they are given an
impression of the study in which a configuration that failed, or was stopped for a symptom, is a
bad one: for TPE a trial pruned before its first value, which ranks behind all others; for the rest
one with a value worse than all.
Failures that are no fault of the configuration (a dead worker) and replicates stay invisible.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Container, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeper.causes import is_lost
from sweeper.search.attributes import broken, cause_of
from sweeper.sweepfile.model import Sweep


class SamplerView(Study):
    """The study as a sampler sees it: one snapshot for each proposal, failures made bad values."""

    def __init__(self, study: Study, soften: Callable[[list[FrozenTrial]], list[FrozenTrial]]):
        super().__init__(study.study_name, study._storage, sampler=RandomSampler(0))
        self._soften = soften
        self._seen: list[FrozenTrial] | None = None

    def look(self, sampler: BaseSampler) -> None:
        """Forget the last snapshot and propose with `sampler` from now on."""
        self.sampler = sampler
        self._seen = None

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        if self._seen is None:
            everything = self._storage.get_all_trials(self._study_id, deepcopy=False)
            self._seen = self._soften([trial for trial in everything if _counts(trial)])
        chosen = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen


def impression(study: Study, sweep: Sweep) -> SamplerView:
    """The study as the sweep's sampler is to see it."""
    return SamplerView(study, _as_pruned if sweep.search.sampler == "tpe" else _as_worst(study))


def sampler(sweep: Sweep, seed: int) -> BaseSampler:
    """A fresh sampler of the kind the sweep names."""
    options = sweep.search
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if options.sampler == "tpe":
            return TPESampler(
                n_startup_trials=options.startup_trials or 10,
                n_ei_candidates=options.candidates or 24,
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=seed,
            )
        if options.sampler == "gp":
            return GPSampler(n_startup_trials=options.startup_trials or 10, seed=seed)
        if options.sampler == "nsga2":
            return NSGAIISampler(population_size=options.population or 16, seed=seed)
    raise ValueError(f"{options.sampler} is not a model-based sampler")


def _counts(trial: FrozenTrial) -> bool:
    attrs = trial.user_attrs
    if trial.state == TrialState.RUNNING:
        # Not the trial that is being drawn: a second attempt at it must see what the first saw.
        return "config" in attrs and attrs.get("role") != "replicate"
    if attrs.get("role") == "replicate" or not trial.params:
        return False
    return not is_lost(cause_of(trial))


def without_replicates(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The study as it is, but for what no sampler sees."""
    return trials


def _as_pruned(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [
        _changed(trial, TrialState.PRUNED, None) if broken(trial) else trial for trial in trials
    ]


def _as_worst(study: Study) -> Callable[[list[FrozenTrial]], list[FrozenTrial]]:
    signs = [1 if way == StudyDirection.MINIMIZE else -1 for way in study.directions]

    def soften(trials: list[FrozenTrial]) -> list[FrozenTrial]:
        measured = [trial for trial in trials if _finite(trial.values, len(signs))]
        if all(map(broken, measured)):  # Nothing yet that they could be as bad as.
            return [trial for trial in trials if not _unmeasured(trial)]
        known = [trial.values for trial in measured]
        worst = [
            sign * max(sign * values[place] for values in known) for place, sign in enumerate(signs)
        ]
        return [
            _changed(
                trial,
                TrialState.COMPLETE,
                worst
                if broken(trial) or not _finite(trial.values, len(signs))
                else list(trial.values),
            )
            if _unmeasured(trial)
            else trial
            for trial in trials
        ]

    return soften


def _unmeasured(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.FAIL, TrialState.PRUNED)


def _finite(values: Sequence[float] | None, count: int) -> bool:
    return values is not None and len(values) == count and all(map(math.isfinite, values))


def _changed(trial: FrozenTrial, state: TrialState, values: Any) -> FrozenTrial:
    changed = copy.copy(trial)
    changed.state = state
    changed.values = values
    changed.intermediate_values = {} if values is None else trial.intermediate_values
    return changed
