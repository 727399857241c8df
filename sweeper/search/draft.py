"""A trial that Optuna's samplers can draw in, and that is in no study yet.

Optuna draws in a trial of its storage, one write a parameter. A driver killed in between left half
a trial; and where somebody had added an entry with other choices of a parameter, the write failed.
So a draft lies in memory, and the whole trial goes into the study with one write.
"""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

DRAFT = -1
"""The id of the draft: no storage gives it."""


class Draft:
    """A storage with one more trial, for the length of one proposal."""

    def __init__(self, storage: BaseStorage, number: int) -> None:
        self._storage = storage
        self.trial = create_trial(state=TrialState.RUNNING, params={}, distributions={})
        self.trial.number, self.trial._trial_id = number, DRAFT

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The draft, or a trial of the study."""
        return self.trial if trial_id == DRAFT else self._storage.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """What samplers have noted with a trial."""
        return dict(self.get_trial(trial_id).system_attrs)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something with a trial."""
        if trial_id == DRAFT:
            self.trial.system_attrs[key] = value
        else:
            self._storage.set_trial_system_attr(trial_id, key, value)

    def set_trial_param(
        self, trial_id: int, name: str, internal: float, distribution: BaseDistribution
    ) -> None:
        """What was drawn; the caller keeps it."""
        assert trial_id == DRAFT, "trials of the study are drawn already"
