"""The ledger's file: Optuna's journal, mended after a crash and kept whole when the disk fills up.

A journal is a text file of one JSON operation a line. A process killed while it appends can leave
two things behind: a last line without its end, onto which the next append would be glued, and the
journal's lock, on which every later append would wait for half a minute. `mend` removes both; only
the one driver of a sweep may call it, under the sweep's own lock.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock

from sweeper.errors import LedgerError

_BLOCK = 1 << 16


class Journal(BaseJournalBackend):
    """A journal file in which several operations can become one write, all of it or none.

    Format and lock are those of Optuna's `JournalFileBackend`, with which other tools open it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = JournalFileSymlinkLock(str(path))
        self._held: list[bytes] | None = None
        self._known = (0, 0)  # how many operations have been read, and where in the file they end
        self._broken: LedgerError | None = None
        if not path.exists():  # a reader leaves it alone: its age says whether copies are current
            path.touch()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold back what is appended in this block, then write it at once.

        Reading sees it meanwhile. An ask is some fifteen operations, each of which would wait for
        the disk. Blocks may be nested. When the write fails, what the storage has in memory is
        ahead of the file, so the journal refuses to be used any more.

        Raises:
            LedgerError: the write fails.
        """
        if self._held is not None:
            yield
            return
        self._refuse_if_broken()
        with self._locked():
            self._held = []
            try:
                yield
            finally:
                lines, self._held = self._held, None
                if lines:
                    self._write(lines)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all of `logs` or none of them.

        Raises:
            LedgerError: they cannot be written.
        """
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        if self._held is not None:
            self._held.extend(lines)
            return
        self._refuse_if_broken()
        with self._locked():
            self._write(lines)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from `log_number_from` on; those held back are the last ones."""
        number, offset = self._known if log_number_from >= self._known[0] else (0, 0)
        with self._path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # another process is writing it, or died writing it
                number, offset = number + 1, offset + len(line)
                self._known = (number, offset)
                if number > log_number_from:
                    yield self._read(line, number)
        for place, line in enumerate(self._held or (), start=number + 1):
            if place > log_number_from:
                yield self._read(line, place)

    def _read(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            operation: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise LedgerError(f"line {number} of {self._path} is damaged: {error}") from error
        return operation

    def _write(self, lines: list[bytes]) -> None:
        whole: int | None = None
        try:
            with self._path.open("ab") as file:
                whole = file.tell()
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._broken = LedgerError(f"cannot write {self._path}: {error.strerror or error}")
            with suppress(OSError):  # a torn line is at the latest cut when it is opened again
                if whole is not None:
                    os.truncate(self._path, whole)
            raise self._broken from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _refuse_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken


def mend(path: Path) -> bool:
    """Make the journal at `path` fit to be appended to. True if its last line was torn.

    A last line without its newline was never acknowledged to anyone: dropping it forgets nothing
    that was promised.
    """
    if not path.exists():
        return False
    _drop_stale_lock(path)
    return _cut_torn_line(path)


def _cut_torn_line(path: Path) -> bool:
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
