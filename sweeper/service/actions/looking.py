"""A sweep as people see it: what the database says of it, and what its study says."""

from __future__ import annotations

from sweeper.errors import UnknownSweep
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
    version = service.lookups.version()
    with service.database.reading() as session:
        entry = sweeps.entry_named(session, name)
    service.lookups.keep(version, ("sweep", name), entry)
    return entry


def known_entry(service: Service, name: str) -> Entry | None:
    """The same where it was looked up and nobody has written to the database since; costs next to
    nothing."""
    entry: Entry | None = service.lookups.known(("sweep", name))
    return entry


def reading_of(service: Service, entry: Entry) -> Reading:
    """What the study of a sweep says; no trials where it has not begun.

    Raises:
        LedgerError: the study cannot be read.
    """
    name = entry.sweep.name
    try:
        return service.readings.of(name)
    except UnknownSweep:
        return _waiting(service, entry)


def trial_of(service: Service, entry: Entry, number: int) -> Trial:
    """One trial of a sweep.

    Raises:
        Refusal: it has none of this number; status 404.
    """
    return trial_in(reading_of(service, entry), number)


def trial_in(reading: Reading, number: int) -> Trial:
    """One trial of what a study says.

    Raises:
        Refusal: it has none of this number; status 404.
    """
    trials = reading.by_number
    if number not in trials:
        there = f"the last one is {max(trials)}" if trials else "it has none yet"
        title = f"{reading.folder.name} has no trial {number}; {there}"
        raise Refusal(404, "unknown-trial", title)
    return trials[number]


def _waiting(service: Service, entry: Entry) -> Reading:
    """A sweep that no driver has begun."""
    key, version = ("waiting", entry.sweep.id), service.lookups.version()
    reading: Reading | None = service.lookups.known(key)
    if reading is None:
        folder = service.settings.home.sweep(entry.sweep.name)
        standings = standings_of(sweep_from_dict(entry.sweep.spec), ())
        reading = Reading(folder, standings, (), f"{entry.sweep.id}-{entry.sweep.asked}")
        service.lookups.keep(version, key, reading)
    return reading
