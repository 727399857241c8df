"""The entries of a study, one a trial, by their numbers."""

from __future__ import annotations

from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.attributes import translated


class Entries:
    """Reads the entries of one study, and sets their attributes."""

    def __init__(self, study: Study, storage: BaseStorage) -> None:
        self._study = study
        self._storage = storage
        self._ids: dict[int, int] = {}

    def all(self, *states: TrialState) -> list[FrozenTrial]:
        """Those in one of `states`, or all, in the order of their numbers."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def get(self, number: int) -> FrozenTrial:
        """The entry of one trial."""
        with translated():
            if number not in self._ids:
                self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(
                    self._study._study_id, number
                )
            return self._storage.get_trial(self._ids[number])

    def set(self, number: int, key: str, value: Any) -> None:
        """Set one attribute of one trial."""
        with translated():
            self._storage.set_trial_user_attr(self.get(number)._trial_id, key, value)
