"""The study as Optuna's samplers see it: failures are bad configurations.

The study says exactly what happened: a training that fell apart is FAIL and has no value. Optuna's
samplers leave failures out, and would propose the same point again for ever. So they are given a
view of the study in which a configuration that failed, or was stopped for a symptom, is a bad one:
a trial pruned before its first value, which ranks behind all others (`failure_pruned`), or one
with a value worse than all (`failures_worst`).
Failures that are no fault of the configuration (a dead worker), trials that somebody stopped,
replicates, trials that took another one's weights over (their values are of several settings), what
others have put into the study, and what was measured by another protocol than the sweep's present
one, stay invisible.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.causes import says_nothing
from sweeper.protocols import Protocol, alike
from sweeper.search import attributes
from sweeper.search.attributes import broken, cause_of
from sweeper.search.distributions import distribution, to_study
from sweeper.search.draft import Draft
from sweeper.search.each_once import EachOnce
from sweeper.search.entries import latest
from sweeper.search.foreign import is_ours
from sweeper.search.learned import entries_of
from sweeper.sweepfile.model import Sweep


class SamplerView(Study):
    """The study as a sampler sees it: one snapshot for each proposal, failures made bad values."""

    def __init__(
        self,
        sweep: Sweep,
        study: Study,
        soften: Callable[[list[FrozenTrial]], list[FrozenTrial]] = list,
        protocol: Protocol | None = None,
        learns: bool = True,
    ) -> None:
        """`learns`: whether trials of the sweeps that its file says to learn from are shown."""
        super().__init__(study.study_name, study._storage, sampler=RandomSampler(0))
        self._sweep = sweep
        self._soften = soften
        self._protocol = protocol or {}
        self._own: Sequence[FrozenTrial] | None = None
        self._shown = EachOnce(self._show)
        self._counting: list[FrozenTrial] = []
        self._seen: list[FrozenTrial] | None = None
        self._from_others: list[FrozenTrial] | None = None if learns else []

    def look(
        self,
        sampler: BaseSampler,
        draft: Draft,
        protocol: Protocol,
        own: Sequence[FrozenTrial] | None = None,
    ) -> None:
        """Forget the last snapshot, and propose with `sampler` in `draft` from now on, by what was
        measured by `protocol`. `own` are the sweep's own entries, where the caller has them."""
        self.sampler = sampler
        self._storage = draft  # type: ignore[assignment]
        if protocol != self._protocol:
            self._shown = EachOnce(self._show)
        self._protocol = protocol
        self._own = own
        self._seen = None

    @property
    def finished(self) -> int:
        """How many trials that count are over, whether or not a proposal looks at all of them."""
        self._get_trials(deepcopy=False)
        return sum(trial.state.is_finished() for trial in self._counting)

    def show(self, trials: list[FrozenTrial]) -> None:
        """Show these trials from now on, whatever the study holds."""
        self._seen = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        if self._seen is None:
            study = self._storage.get_study_user_attrs(self._study_id)
            own = self._look_for_own(study) if self._own is None else self._own
            shown = [trial for trial in self._shown.of(own) if trial is not None]
            self._counting = [*self._learned(study), *shown]
            self._seen = self._soften(self._counting)
        chosen = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def _look_for_own(self, study: Mapping[str, Any]) -> list[FrozenTrial]:
        everything = self._storage.get_all_trials(self._study_id, deepcopy=False)
        return latest(trial for trial in everything if is_ours(trial, study))

    def _show(self, trial: FrozenTrial) -> FrozenTrial | None:
        """One of the sweep's own as a sampler sees it, if it is to."""
        shown = _as_measured(_whole(self._sweep, trial), self._protocol)
        comparable = attributes.comparable(shown.user_attrs, self._protocol)
        return shown if comparable and _counts(shown) else None

    def _learned(self, study: Mapping[str, Any]) -> list[FrozenTrial]:
        """Trials of earlier sweeps, where they were measured as this one is; read once."""
        if self._from_others is None:
            self._from_others = entries_of(self._sweep, study)
        told = study.get(attributes.LEARNED, {}).get("protocol", {})
        return self._from_others if alike(told, self._protocol) else []


def failure_pruned(trial: FrozenTrial) -> FrozenTrial:
    """A broken trial as pruned before its first value."""
    return _changed(trial, TrialState.PRUNED, None) if broken(trial) else trial


def failures_worst(trials: list[FrozenTrial], signs: Sequence[int]) -> list[FrozenTrial]:
    """Broken trials, and those without a value, as completed with the worst values of all.

    `signs` holds 1 for each objective that is minimised and -1 for each that is maximised.
    """
    measured = [trial for trial in trials if _finite(trial.values, len(signs))]
    if all(map(broken, measured)):  # Nothing yet that they could be as bad as.
        return [trial for trial in trials if not _unmeasured(trial)]
    values_of_all = [trial.values for trial in measured]
    worst = [
        sign * max(sign * values[place] for values in values_of_all)
        for place, sign in enumerate(signs)
    ]
    softened = []
    for trial in trials:
        if _unmeasured(trial):
            bad = broken(trial) or not _finite(trial.values, len(signs))
            values = worst if bad else list(trial.values)
            trial = _changed(trial, TrialState.COMPLETE, values)
        softened.append(trial)
    return softened


def _whole(sweep: Sweep, trial: FrozenTrial) -> FrozenTrial:
    """The trial with all parameters of its point, where the study could not take them: somebody had
    added an entry with other choices before."""
    attrs = trial.user_attrs
    values = {} if attrs.get("role") == "replicate" else attrs.get("values", {})
    if values.keys() <= trial.params.keys():
        return trial
    whole = copy.copy(trial)
    domains = {path: sweep.parameter(path).domain for path in values}
    whole.distributions = {path: distribution(domain) for path, domain in domains.items()}
    whole.params = {path: to_study(domains[path], value) for path, value in values.items()}
    return whole


def _counts(trial: FrozenTrial) -> bool:
    attrs = trial.user_attrs
    if attributes.donors(attrs):
        return False
    if trial.state == TrialState.RUNNING:
        # Not one that is being taken up: a second attempt at it must see what the first saw.
        return "config" in attrs and attrs.get("role") != "replicate"
    if attrs.get("role") == "replicate" or not trial.params:
        return False
    return not says_nothing(cause_of(trial))


def _as_measured(trial: FrozenTrial, protocol: Protocol) -> FrozenTrial:
    """The trial with those of its values on the way that were measured by `protocol`."""
    values = attributes.intermediate_values(trial, protocol)
    if values is trial.intermediate_values:
        return trial
    seen = copy.copy(trial)
    seen.intermediate_values = values
    if trial.state == TrialState.PRUNED:  # its value is the last of all for Optuna
        seen.values = [values[max(values)]] if values else None
    return seen


def _unmeasured(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.FAIL, TrialState.PRUNED)


def _finite(values: Sequence[float] | None, count: int) -> bool:
    return values is not None and len(values) == count and all(map(math.isfinite, values))


def with_values(trial: FrozenTrial, values: Sequence[float]) -> FrozenTrial:
    """The trial as if it had completed with these values."""
    return _changed(trial, TrialState.COMPLETE, list(values))


def _changed(trial: FrozenTrial, state: TrialState, values: Any) -> FrozenTrial:
    changed = copy.copy(trial)
    changed.state = state
    changed.values = values
    changed.intermediate_values = {} if values is None else trial.intermediate_values
    return changed
