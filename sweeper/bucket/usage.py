"""What a sweep has in its bucket, by a listing that is kept a while in its folder.

A listing costs money and time, a request for every thousand files. So nobody lists again for a
minute, or for as long as twenty listings take, and nobody waits long: what was counted before is
told instead, with when that was.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sweeper.bucket.place import place_of
from sweeper.bucket.store import Store
from sweeper.disk import Sizes
from sweeper.errors import BucketError
from sweeper.home import SweepFolder
from sweeper.permissions import private
from sweeper.wording import duration, plural
from trials.files import atomic_write
from trials.state.names import kind_of

PATIENCE = 5.0
"""Seconds that whoever asks waits for a listing."""

HOLDS, TIMES = 60.0, 20.0
"""What was counted is as new as it need be for so many seconds, or for so many times what counting
took."""


@dataclass(frozen=True)
class Published(Sizes):
    """What lay at a sweep's `address` at the time `counted`, which took so many seconds; None
    before anybody has counted. `trouble` is why that is not newer, where it should be."""

    address: str
    files: int
    counted: float | None
    took: float = 0.0
    trouble: str = ""

    def in_words(self) -> str:
        """`2.1 GB: checkpoints 1.8 GB, …; 340 files at s3://lab/sweeps/mine-5b1e`."""
        if self.counted is None:
            return f"not known: {self.trouble}"
        ago = (
            f", {duration(time.time() - self.counted)} ago: {self.trouble}" if self.trouble else ""
        )
        return f"{super().in_words()}; {plural(self.files, 'file')} at {self.address}{ago}"

    @property
    def holds(self) -> bool:
        """Whether it need not be counted again yet."""
        if self.counted is None:
            return False
        return abs(time.time() - self.counted) < max(HOLDS, TIMES * self.took)


_STORED = TypeAdapter(Published)


class _Counting(threading.Thread):
    """Counts what lies at an address, and keeps that in the sweep's folder. A store that does not
    answer holds up nobody's end."""

    def __init__(self, folder: SweepFolder, address: str, patience: float) -> None:
        super().__init__(name="counting", daemon=True)
        self._folder, self._store = folder, Store(address, patience)
        self.found: Published | None = None
        self.trouble = ""

    def run(self) -> None:
        began = time.monotonic()
        try:
            files = self._store.sizes()
        except Exception as error:  # a store's own, which this thread would print
            self.trouble = str(error) if isinstance(error, BucketError | OSError) else repr(error)
            return
        took = time.monotonic() - began
        self.found = counted(self._store.address, files, took)
        with contextlib.suppress(OSError):  # it is only a copy, and the home may be another's
            atomic_write(_count_file(self._folder), _STORED.dump_json(self.found).decode())


_at_work: dict[Path, _Counting] = {}


def published_by(folder: SweepFolder, patience: float = PATIENCE) -> Published | None:
    """What a sweep has in its bucket; None where its trials publish nowhere. Where a new listing
    takes longer than so many seconds, what was counted before.

    Raises:
        UserError: its folder's word of where that is cannot be read.
    """
    address = place_of(folder)
    if not address:
        return None
    before = _kept(folder, address)
    if before.holds:
        return before
    counting = _at_work.get(folder.path)
    with private(folder.path.parent):
        if counting is None or not counting.is_alive():
            counting = _at_work[folder.path] = _Counting(folder, address, patience)
            counting.start()
        counting.join(patience)
    late = f"no whole answer within {patience:g} s"
    return counting.found or replace(before, trouble=counting.trouble or late)


def counted(address: str, files: Mapping[str, int], took: float) -> Published:
    """What lies there now: key → bytes."""
    sizes: Counter[str] = Counter()
    for key, size in files.items():
        sizes[kind_of(key)] += size
    return Published(
        total=sum(files.values()),
        checkpoints=sizes["checkpoints"],
        generators=sizes["generators"],
        samples=sizes["samples"],
        address=address,
        files=len(files),
        counted=time.time(),
        took=took,
    )


def forget(folder: SweepFolder) -> None:
    """Have it counted anew next time."""
    _count_file(folder).unlink(missing_ok=True)


def _count_file(folder: SweepFolder) -> Path:
    return folder.path / "bucket.count"


def _kept(folder: SweepFolder, address: str) -> Published:
    """What was counted last."""
    with contextlib.suppress(OSError, ValidationError):
        kept = _STORED.validate_json(_count_file(folder).read_bytes())
        if kept.address == address:
            return kept
    return Published(0, 0, 0, 0, address, files=0, counted=None)
