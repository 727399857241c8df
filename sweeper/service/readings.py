"""What studies say, for many readers: read once, and again when something was written."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sweeper.home import Home, SweepFolder
from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.looking import sweep_of
from sweeper.search.reader import StudyReader, read_study
from sweeper.standings import Standings, standings_of
from sweeper.sweepfile.model import Sweep
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

MANY = 100_000
"""New objects of which Python's collector of cycles need not know; counting references frees them
all the same."""

Stamp = tuple[int, ...]


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: Stamp | None = None
    reader: StudyReader | None = None
    reading: Reading | None = None
    due: float = 0.0
    """When a reading that is out of date is made again."""

    def current(self, stamp: Stamp) -> Reading | None:
        """The reading that holds now, where it is not time for another one."""
        spared = _goes_on(self.stamp, stamp) and self.due >= time.monotonic()
        return self.reading if spared or self.stamp == stamp else None


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
        waits = before is None or not _goes_on(kept.stamp, stamp)
        if not kept.lock.acquire(blocking=waits):
            assert before is not None
            return before
        try:
            if (current := kept.current(stamp)) is not None:
                return current
            began = time.monotonic()
            kept.reading, kept.stamp = _read(kept, folder, stamp), stamp
            took = time.monotonic() - began
            kept.due = time.monotonic() + (min(SPARED * took, LONGEST) if took > QUICK else 0.0)
            return kept.reading
        finally:
            kept.lock.release()

    def known(self, name: str) -> Reading | None:
        """What `of` would say, where nothing has to be read for it; costs next to nothing."""
        with self._lock:
            kept = self._kept.get(name)
            if kept is None or kept.reading is None:
                return None
            self._kept.move_to_end(name)
        return kept.current(_stamp(kept.reading.folder))

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
    if kept.reader is None or kept.reader.sweep != sweep or not _goes_on(kept.stamp, stamp):
        with _without_collecting():
            kept.reader = read_study(sweep, folder)
            return _made(kept, sweep, folder, stamp)
    return _made(kept, sweep, folder, stamp)


def _made(kept: _Kept, sweep: Sweep, folder: SweepFolder, stamp: Stamp) -> Reading:
    reader, before = kept.reader, kept.reading
    standings = standings_of(sweep, ()) if reader is None else reader.standings()
    foreign = () if reader is None else tuple(reader.foreign())
    if before is not None and (before.standings, before.foreign) == (standings, foreign):
        return before  # what was written changes nothing that anybody is told
    return Reading(folder, standings, foreign, "-".join(f"{number:x}" for number in stamp))


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """A study of thousands of trials is hundreds of thousands of objects that stay, none of them a
    cycle: to look through all of them again and again takes as long as to read it, and stops every
    answer meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > MANY:
            gc.freeze()
        gc.enable()


def _goes_on(before: Stamp | None, now: Stamp) -> bool:
    """Whether it can be the same study: another one has another journal."""
    return before is None or before[1] == now[1]


def _stamp(folder: SweepFolder) -> Stamp:
    """Something that differs whenever the study or the sweep's file does; its second number is
    that of the study's file."""
    try:
        spec = folder.spec_json.stat().st_mtime_ns
    except FileNotFoundError:
        spec = 0
    try:
        journal = folder.study_journal.stat()
    except FileNotFoundError:  # in a database, or not begun
        return (spec, 0, int(time.time() / FRESH))
    return (spec, journal.st_ino, journal.st_size, journal.st_mtime_ns)
