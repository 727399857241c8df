"""A sweep as people see it: what the database says of it, and what its study says."""

from __future__ import annotations

from sweeper.errors import UnknownSweep
from sweeper.home import Home
from sweeper.service.app import Service
from sweeper.service.problem import Refusal
from sweeper.service.readings import Reading
from sweeper.service.state import sweeps
from sweeper.service.state.sweeps import Entry
from sweeper.standings import standings_of
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.trial import Trial


def entry_named(service: Service, name: str) -> Entry:
    """The sweep of this name, or of this id.

    Raises:
        UnknownSweep: there is none; the nearest name is given.
    """
    with service.database.reading() as session:
        return sweeps.entry_named(session, name)


def reading_of(service: Service, entry: Entry) -> Reading:
    """What the study of a sweep says; no trials where it has not begun.

    Raises:
        LedgerError: the study cannot be read.
    """
    name = entry.sweep.name
    try:
        return service.readings.of(name)
    except UnknownSweep:
        return _waiting(service.settings.home, entry)


def trial_of(service: Service, entry: Entry, number: int) -> Trial:
    """One trial of a sweep.

    Raises:
        Refusal: it has none of this number; status 404.
    """
    trials = reading_of(service, entry).by_number
    if number not in trials:
        there = f"the last one is {max(trials)}" if trials else "it has none yet"
        title = f"{entry.sweep.name} has no trial {number}; {there}"
        raise Refusal(404, "unknown-trial", title)
    return trials[number]


def _waiting(home: Home, entry: Entry) -> Reading:
    """A sweep that no driver has begun."""
    folder, sweep = home.sweep(entry.sweep.name), sweep_from_dict(entry.sweep.spec)
    return Reading(folder, standings_of(sweep, ()), (), f"{entry.sweep.id}-{entry.sweep.asked}")
