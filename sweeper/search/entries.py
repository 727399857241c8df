"""The entries of a study by the numbers of their trials.

Optuna closes an entry for good when its trial fails. A trial that is tried again therefore has a
further entry, which names it (`attributes`: `number`); the latest is the trial's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.search.attributes import BEFORE, MOVED, number_of, translated


def latest(entries: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The latest entry of each trial, in the order in which they were made."""
    by_number: dict[int, FrozenTrial] = {}
    for entry in entries:
        number = number_of(entry)
        by_number.pop(number, None)
        by_number[number] = entry
    return list(by_number.values())


class Entries:
    """Reads the entries of one study, and sets their attributes."""

    def __init__(self, study: Study, storage: BaseStorage) -> None:
        self._study = study
        self._storage = storage
        self._ids: dict[int, int] = {}

    def all(self, *states: TrialState) -> list[FrozenTrial]:
        """One a trial, in the order of their numbers: those in one of `states`, or all."""
        entries = sorted(latest(self._study.get_trials(deepcopy=False)), key=number_of)
        self._ids.update((number_of(entry), entry._trial_id) for entry in entries)
        return [entry for entry in entries if not states or entry.state in states]

    def get(self, number: int) -> FrozenTrial:
        """The entry of one trial."""
        with translated():
            if not self._ids:
                self.all()  # by its number alone it is not known which one is the latest
            if number not in self._ids:
                self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(
                    self._study._study_id, number
                )
            return self._storage.get_trial(self._ids[number])

    def set(self, number: int, key: str, value: Any) -> None:
        """Set one attribute of one trial."""
        with translated():
            self._storage.set_trial_user_attr(self.get(number)._trial_id, key, value)

    def begin_anew(self, number: int) -> None:
        """Put aside what was measured and decided of a trial, for the record alone."""
        attrs = self.get(number).user_attrs
        names = [name for name in attrs if name.startswith(MOVED)]
        moved = {name: attrs[name] for name in names if attrs[name] is not None}
        if not moved:
            return
        times = sum(name.startswith(BEFORE) for name in attrs)
        self.set(number, f"{BEFORE}{times + 1}", moved)
        for name in moved:
            self.set(number, name, None)

    def reopen(self, number: int) -> FrozenTrial:
        """A further entry for a trial that has failed: all that was measured of it, and no end."""
        failed = self.get(number)
        attrs = {
            key: value for key, value in failed.user_attrs.items() if key not in ("end", "deaths")
        }
        with translated():
            again = create_trial(
                state=TrialState.RUNNING,
                params=failed.params,
                distributions=failed.distributions,
                intermediate_values=failed.intermediate_values,
                user_attrs={**attrs, "number": number},
                system_attrs=failed.system_attrs,
            )
            identity = self._storage.create_new_trial(self._study._study_id, again)
            self._ids[number] = identity
            return self._storage.get_trial(identity)
