"""The entries of a study, one a trial, by their numbers."""

from __future__ import annotations

from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.attributes import translated
from sweeper.search.foreign import REFUSED, UNMARKED, is_ours


class Entries:
    """Reads the entries of one study, the sweep's own apart from other people's, and sets their
    attributes."""

    def __init__(self, study: Study, storage: BaseStorage) -> None:
        self._study = study
        self._storage = storage
        self._ids: dict[int, int] = {}
        self._attrs: dict[str, Any] | None = None

    def all(self, *states: TrialState) -> list[FrozenTrial]:
        """The sweep's own in one of `states`, or all, in the order of their numbers."""
        study = self._study_attrs()
        return [entry for entry in self._read(*states) if is_ours(entry, study)]

    def foreign(self) -> list[FrozenTrial]:
        """Those that are not the sweep's own."""
        study = self._study_attrs()
        return [entry for entry in self._read() if not is_ours(entry, study)]

    def enqueued(self) -> list[FrozenTrial]:
        """Points that somebody has put into the queue and nobody has taken up or refused."""
        return [
            entry for entry in self._read(TrialState.WAITING) if REFUSED not in entry.user_attrs
        ]

    @property
    def count(self) -> int:
        """How many entries there are, whosever they are: the number of the next one."""
        return len(self._read())

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

    def _read(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _study_attrs(self) -> dict[str, Any]:
        """The study's attributes as far as they say whose an entry is: they never change."""
        if self._attrs is None:
            attrs = self._study.user_attrs
            if UNMARKED not in attrs:  # no driver of this version has been here yet
                return attrs
            self._attrs = {key: attrs[key] for key in ("id", UNMARKED)}
        return self._attrs
