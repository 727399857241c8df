"""The ledger's file: Optuna's journal, mended after a crash and kept whole when the disk fills up.

A journal is a text file of one JSON operation a line. A process killed while it appends can leave
two things behind: a last line without its end, onto which the next append would be glued, and the
journal's lock, on which every later append would wait for half a minute. `mend` removes both; only
the one driver of a sweep may call it, under the sweep's own lock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from sweeper.errors import LedgerError

_BLOCK = 1 << 16


class Journal(JournalFileBackend):
    """A journal file whose failed appends leave no part of a line behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all of `logs` or none of them. Raises LedgerError when they cannot be written."""
        try:
            super().append_logs(logs)
        except OSError as error:
            cut_torn_line(self._path)
            raise LedgerError(f"cannot write {self._path}: {error.strerror or error}") from error


def mend(path: Path) -> bool:
    """Make the journal at `path` fit to be appended to. True if its last line was torn.

    A last line without its newline was never acknowledged to anyone: dropping it forgets nothing
    that was promised.
    """
    if not path.exists():
        return False
    _drop_stale_lock(path)
    return cut_torn_line(path)


def cut_torn_line(path: Path) -> bool:
    """Truncate the file after its last newline. True if something was cut."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        keep = _end_of_last_line(file, size)
        if keep == size:
            return False
        file.truncate(keep)
        os.fsync(file.fileno())
        return True


def _end_of_last_line(file: Any, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        end = start
    return 0


def _drop_stale_lock(path: Path, patience: float = 1.0) -> None:
    """Remove the journal's lock when the same one has been lying there for `patience` seconds.

    Another tool that has the study open (Optuna's dashboard) holds the lock for milliseconds and
    makes a new one each time, so a lock that stays the same belongs to the dead.
    """
    lock = path.with_name(path.name + ".lock")
    deadline = time.monotonic() + patience
    first = _identity(lock)
    while first is not None and time.monotonic() < deadline:
        time.sleep(0.02)
        if _identity(lock) != first:
            return
    if first is not None:
        lock.unlink(missing_ok=True)


def _identity(lock: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(lock)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
