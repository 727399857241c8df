"""Looks for what is worth a word, and writes it down once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from sweeper.errors import SweeperError
from sweeper.service.app import Service
from sweeper.service.notices.occasions import Notice, Told, best_key, notices
from sweeper.service.state import notices as state
from sweeper.service.state.events import add_event
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import Event

LATE = 7 * 86400.0
"""Seconds after which the end of a sweep is no news any more, such as after the server was off."""

_NOTHING = Told(frozenset(), 0.0)


class Watch:
    """What has been told is in the events; `look` remembers what it has read of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._told: dict[str, dict[str, Told]] = {}

    def look(self) -> None:
        """Write an event for everything new, and a delivery of it for everybody who wants to know.

        Raises:
            SweeperError: the database cannot be used.
        """
        now = time.time()
        with self._service.database.reading() as session:
            since = state.since_when(session)
            if since is None:
                self._told.clear()
                return
            entries = state.watched(session, max(since, now - LATE))
            unknown = [entry for entry in entries if entry.sweep.id not in self._told]
            earlier = state.notices_of(session, [entry.sweep.id for entry in unknown])
        self._remember(unknown, earlier, since)
        found = [
            (entry, notice)
            for entry in entries
            for notice in notices(entry, self._told[entry.sweep.id], self._evaluated(entry), now)
        ]
        with self._service.database.writing() as session:
            for entry, notice in found:
                add_event(session, entry.sweep.id, state.KIND, _data(entry, notice))
            state.fan_out(session)
        for entry, notice in found:
            _note(self._told[entry.sweep.id], notice.occasion, notice.key, now)
        self._told = {entry.sweep.id: self._told[entry.sweep.id] for entry in entries}

    def _remember(self, unknown: Iterable[Entry], earlier: Sequence[Event], since: float) -> None:
        """Take in what was told of sweeps that were not watched so far."""
        followed = {
            event.sweep_id
            for event in earlier
            if event.data["occasion"] == "best" and event.time >= since
        }
        for entry in unknown:
            told = self._told[entry.sweep.id] = {}
            # Its best so far is no news to who asks only now. Where one has been told of since, it
            # is a better one: it may have come while no service was there.
            if entry.sweep.created < since and entry.sweep.id not in followed:
                _note(told, "best", best_key(entry), 0.0)
        for event in earlier:
            told = self._told[event.sweep_id or ""]
            _note(told, event.data["occasion"], event.data["key"], event.time)

    def _evaluated(self, entry: Entry) -> list[float]:
        """When the trials of a sweep that is at work were evaluated, in order."""
        if entry.lease.state != "running":
            return []
        try:
            trials = self._service.readings.of(entry.sweep.name).standings.trials
        except SweeperError:  # not begun, or not to be read now: nothing can be said of its pace
            return []
        return sorted(evaluation.time for trial in trials for evaluation in trial.evaluations)


def _note(told: dict[str, Told], occasion: str, key: str, when: float) -> None:
    told[occasion] = told.get(occasion, _NOTHING).and_then(key, when)


def _data(entry: Entry, notice: Notice) -> dict[str, str]:
    return {
        "occasion": notice.occasion,
        "key": notice.key,
        "words": notice.words,
        "sweep": entry.sweep.name,
        "owner": entry.owner.name,
        "state": entry.lease.state,
    }
