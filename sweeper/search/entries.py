"""The entries of a study by the numbers of their trials.

Optuna closes an entry for good when its trial fails. A trial that is tried again therefore has a
further entry, which names it (`attributes`: `number`); the latest is the trial's. Entries of other
people are apart (`foreign`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from operator import is_not
from typing import Any, Literal

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.search.attributes import ANEW, BEFORE, FAULTS, MOVED, number_of, translated
from sweeper.search.foreign import MARK, REFUSED, is_ours, mark_of
from sweeper.search.study_attributes import UNMARKED

Kind = Literal["latest", "ever", "foreign"]


def latest(entries: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The latest entry of each trial, in the order in which they were made."""
    by_number: dict[int, FrozenTrial] = {}
    for entry in entries:
        number = number_of(entry)
        by_number.pop(number, None)
        by_number[number] = entry
    return list(by_number.values())


class _Sorted:
    """The entries of a study as they were last seen, by whose they are.

    Whoever watches a study of thousands of trials sees few of them change: storages hand out the
    same object for an entry that nobody has written to, and only the others are looked at again.
    """

    def __init__(self) -> None:
        self._seen: Sequence[FrozenTrial] = ()
        self._lists: dict[Kind, list[FrozenTrial]] = {}
        self.ever: dict[int, FrozenTrial] = {}
        """The sweep's own by their own numbers, a trial's former failures too."""
        self.latest: dict[int, FrozenTrial] = {}
        """The latest of each trial by the trial's number."""
        self.foreign: dict[int, FrozenTrial] = {}

    def see(self, entries: Sequence[FrozenTrial], study: Mapping[str, Any]) -> None:
        """Take in all entries of the study, whose attributes are `study`."""
        if entries is self._seen:
            return
        known = len(self._seen)
        changed = [*compress(entries, map(is_not, entries, self._seen))]
        self._seen = entries
        for entry in (*changed, *entries[known:]):
            self.sort(entry, ours=is_ours(entry, study))

    def sort(self, entry: FrozenTrial, *, ours: bool) -> None:
        """Put an entry where it belongs."""
        self._lists.clear()
        number = number_of(entry)
        if ours:
            self.foreign.pop(entry.number, None)
            self.ever[entry.number] = entry
            other = self.latest.get(number)
            if other is None or other.number <= entry.number:
                self.latest[number] = entry
            return
        self.foreign[entry.number] = entry
        if self.ever.pop(entry.number, None) is not None:  # somebody else has ended it
            ours_still = (self.ever[place] for place in sorted(self.ever))
            self.latest = {number_of(one): one for one in ours_still}

    def listed(self, kind: Kind) -> list[FrozenTrial]:
        """Those of one kind in the order of their numbers: the same list until an entry changes."""
        if kind not in self._lists:
            found: dict[int, FrozenTrial] = getattr(self, kind)
            self._lists[kind] = [found[number] for number in sorted(found)]
        return self._lists[kind]


class Entries:
    """Reads the entries of one study, the sweep's own apart from other people's, and sets their
    attributes. Several threads may read."""

    def __init__(self, study: Study, storage: BaseStorage) -> None:
        self._study = study
        self._storage = storage
        self._sorted = _Sorted()
        self._sorting = threading.Lock()
        self._attrs: dict[str, Any] | None = None

    def all(self, *states: TrialState) -> list[FrozenTrial]:
        """One a trial of the sweep's own, in the order of their numbers: those in one of `states`,
        or all."""
        entries = self._look("latest")
        return [entry for entry in entries if entry.state in states] if states else entries

    def all_ever(self) -> list[FrozenTrial]:
        """Every entry of the sweep's own, also of a trial's former failures."""
        return self._look("ever")

    def foreign(self) -> list[FrozenTrial]:
        """Those that are not the sweep's own."""
        return self._look("foreign")

    def enqueued(self) -> list[FrozenTrial]:
        """Points that somebody has put into the queue and nobody has taken up or refused."""
        waiting = [entry for entry in self._read() if entry.state == TrialState.WAITING]
        return [entry for entry in waiting if REFUSED not in entry.user_attrs]

    @property
    def count(self) -> int:
        """How many entries there are, whosever they are: the number of the next one."""
        return len(self._read())

    def get(self, number: int) -> FrozenTrial:
        """The entry of one trial."""
        with translated():
            if number not in self._sorted.latest:
                self.all()
            return self._storage.get_trial(self._sorted.latest[number]._trial_id)

    def set(self, number: int, key: str, value: Any) -> None:
        """Set one attribute of one trial."""
        with translated():
            self._storage.set_trial_user_attr(self.get(number)._trial_id, key, value)

    def note(self, number: int, note: str) -> None:
        """Add a sentence for a reader of one trial, once."""
        notes = self.get(number).user_attrs.get("notes", [])
        if note not in notes:
            self.set(number, "notes", [*notes, note])

    def begin_anew(self, number: int) -> None:
        """Put aside what was measured and decided of a trial, for the record alone; its checkpoint
        is left aside until it is evaluated again. What a kill cuts short is done by doing it
        again."""
        attrs = self.get(number).user_attrs
        if not attrs.get(ANEW):
            self.set(number, ANEW, True)
        names = [name for name in attrs if name.startswith(MOVED)]
        moved = {name: attrs[name] for name in names if attrs[name] is not None}
        if not moved:
            return
        times = sum(name.startswith(BEFORE) for name in attrs)
        self.set(number, f"{BEFORE}{times + 1}", moved)
        for name in moved:
            self.set(number, name, None)

    def add(
        self,
        attrs: Mapping[str, Any],
        *,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        noted: Mapping[str, Any],
        intermediate: Mapping[int, float] | None = None,
    ) -> FrozenTrial:
        """Put a whole entry of the sweep's own into the study, with one write; it runs.

        `attrs` are its attributes, `noted` those of Optuna's samplers.

        Raises:
            ValueError: a database holds a parameter to choices that it began with.
        """
        number = self.count
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            intermediate_values=dict(intermediate or {}),
            user_attrs={**attrs, MARK: self._mark(number)},
            system_attrs=dict(noted),
        )
        with translated():
            identity = self._storage.create_new_trial(self._study._study_id, template)
            entry = self._storage.get_trial(identity)
            if entry.number != number:  # others have added to the database in this instant
                self.mark(entry)
                entry = self._storage.get_trial(identity)
        with self._sorting:
            self._sorted.sort(entry, ours=True)
        return entry

    def mark(self, entry: FrozenTrial) -> None:
        """Make an entry the sweep's own."""
        self._storage.set_trial_user_attr(entry._trial_id, MARK, self._mark(entry.number))

    def reopen(self, number: int, noted: Mapping[str, Any] | None = None) -> FrozenTrial:
        """A further entry for a trial that is over: all that was measured of it, and no end; with
        the attributes `noted`."""
        failed = self.get(number)
        ended = ("end", "deaths", FAULTS)
        attrs = {key: value for key, value in failed.user_attrs.items() if key not in ended}
        return self.add(
            {**attrs, **(noted or {}), "number": number},
            params=failed.params,
            distributions=failed.distributions,
            noted=failed.system_attrs,
            intermediate=failed.intermediate_values,
        )

    def _mark(self, number: int) -> str:
        return mark_of(self._study_attrs()["id"], number)

    def _look(self, kind: Kind) -> list[FrozenTrial]:
        """Some of the entries as they are now, in the order of their numbers; the caller leaves the
        list as it is."""
        with self._sorting:
            if self._attrs is None:  # whose they are may have changed for all of them
                self._sorted = _Sorted()
            study = self._study_attrs()
            self._sorted.see(self._read(), study)
            return self._sorted.listed(kind)

    def _read(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _study_attrs(self) -> dict[str, Any]:
        """The study's attributes as far as they say whose an entry is: they never change."""
        if self._attrs is None:
            attrs = self._study.user_attrs
            if UNMARKED not in attrs:  # no driver of this version has been here yet
                return attrs
            self._attrs = {key: attrs[key] for key in ("id", UNMARKED)}
        return self._attrs
