"""What studies say, for many readers: read once, and again when something was written."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sweeper.home import Home, SweepFolder
from sweeper.results import sweep_of
from sweeper.search.foreign import ForeignEntry
from sweeper.search.reader import StudyReader, read_study
from sweeper.standings import Standings, standings_of
from sweeper.trial import Trial

KEPT = 64
"""Sweeps whose standings are kept in memory; the one that nobody asked for longest goes first."""

SPARED = 10
"""While a study is written, reading it again takes at most one of so many seconds."""

LONGEST = 5.0
"""Seconds by which a reading is behind at most."""

QUICK = 0.02
"""Seconds of a reading that need no sparing."""

FRESH = 1.0
"""Seconds for which what a database said is said again without asking it; a journal tells by its
length whether it has changed."""

Stamp = tuple[int, ...]


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: Stamp | None = None
    reader: StudyReader | None = None
    reading: Reading | None = None
    due: float = 0.0
    """When a reading that is out of date is made again."""


@dataclass(frozen=True)
class Reading:
    """What the study of a sweep said at one moment. `version` changes whenever that does."""

    folder: SweepFolder
    standings: Standings
    foreign: tuple[ForeignEntry, ...]
    version: str

    @cached_property
    def by_number(self) -> Mapping[int, Trial]:
        """The trials by their numbers."""
        return {trial.number: trial for trial in self.standings.trials}


class Readings:
    """Reads the studies of a home, from any thread.

    A study of thousands of trials takes a moment to read, and a driver writes several times a
    second: a reading may then be a few seconds old, so that readers cost the sweep little.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str) -> Reading:
        """What the study of this sweep says now; one without any trial where it has none yet.

        Raises:
            UnknownSweep: it was never started.
            LedgerError: its study cannot be read.
        """
        kept, folder = self._entry(name), self._home.existing(name)
        before, stamp = kept.reading, _stamp(folder)
        # While one reads what was just written, the others are told what was read before.
        if not kept.lock.acquire(blocking=before is None):
            assert before is not None
            return before
        try:
            if kept.reading is None or (kept.stamp != stamp and kept.due < time.monotonic()):
                began = time.monotonic()
                kept.reading, kept.stamp = _read(kept, folder, stamp), stamp
                took = time.monotonic() - began
                kept.due = time.monotonic() + (min(SPARED * took, LONGEST) if took > QUICK else 0.0)
            return kept.reading
        finally:
            kept.lock.release()

    def reader(self, name: str) -> StudyReader | None:
        """The study itself, for what standings do not hold; None before its first trial."""
        self.of(name)
        return self._entry(name).reader

    def forget(self, name: str) -> None:
        """The sweep is being deleted."""
        with self._lock:
            self._kept.pop(name, None)

    def _entry(self, name: str) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(name, _Kept())
            self._kept.move_to_end(name)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return kept


def _read(kept: _Kept, folder: SweepFolder, stamp: Stamp) -> Reading:
    sweep = sweep_of(folder)
    if kept.reader is None or kept.reader.sweep != sweep:
        kept.reader = read_study(sweep, folder)
    version = "-".join(f"{number:x}" for number in stamp)
    if kept.reader is None:
        return Reading(folder, standings_of(sweep, ()), (), version)
    return Reading(folder, kept.reader.standings(), tuple(kept.reader.foreign()), version)


def _stamp(folder: SweepFolder) -> Stamp:
    """Something that differs whenever the study or the sweep's file does."""
    try:
        spec = folder.spec_json.stat().st_mtime_ns
    except FileNotFoundError:
        spec = 0
    try:
        journal = folder.study_journal.stat()
    except FileNotFoundError:  # in a database, or not begun
        return (spec, int(time.time() / FRESH))
    return (spec, journal.st_size, journal.st_mtime_ns)
