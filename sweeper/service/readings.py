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
    """Reads the studies of a home, from any thread; of two that ask at once, one reads."""

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
        with kept.lock:
            stamp = _stamp(folder)
            if kept.reading is None or kept.stamp != stamp:
                kept.reading, kept.stamp = _read(kept, folder, stamp), stamp
            return kept.reading

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
