"""The ledger's file: Optuna's journal, mended after a crash and kept whole when the disk fills up.

A journal is a text file of one JSON operation a line. A process killed while it appends can leave
two things behind: a last line without its end, onto which the next append would be glued, and the
journal's lock, on which every later append would wait for half a minute. `mend` removes both; only
the one driver of a sweep may call it, under the sweep's own lock.

Each operation of ours says so (`by`), and a file beside the journal counts them, so that one from
which lines were lost is known. Others may write as well: theirs are not counted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.exceptions import OptunaError
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock, _storage
from optuna.trial import FrozenTrial, TrialState

from sweeper.errors import LedgerError, Superseded
from sweeper.search.journal_count import OURS, Count

# Optuna makes a distribution of each parameter of each trial: most of the memory of a long study,
# and a third of the time that it takes to read one. They are values, and few.
_storage.json_to_distribution = lru_cache(4096)(json_to_distribution)  # type: ignore[attr-defined]

_BLOCK = 1 << 16


class Journal(BaseJournalBackend):
    """A journal file in which several operations can become one write, all of it or none.

    Format and lock are those of Optuna's `JournalFileBackend`, with which other tools open it.

    Raises:
        LedgerError: the count beside it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.last: tuple[int, Any] = (0, None)
        """The operation that was read last, and the number of its line."""
        self.path = path
        self._count = Count(path)
        self._lock = JournalFileSymlinkLock(str(path))
        self._held: list[bytes] | None = None
        self._hold: tuple[int, object] = (0, None)  # where the file ended when locked; the lock
        self._known = (0, 0)  # how many operations have been read, and where in the file they end
        self._broken: LedgerError | None = None
        self._promised = self._count.read()  # first: the journal may grow
        if not path.exists():
            path.touch()
        self._ours, self._size = _counted(path)

    def check(self) -> None:
        """See that the journal has all that was written to it before it was opened.

        Raises:
            LedgerError: operations of ours are missing.
        """
        lost = self._promised - self._ours
        if lost > 0:
            raise LedgerError(
                f"{self.path} lacks {lost} of the {self._promised} operations that were "
                f"written to it: restore it from a backup, or remove {self._count.path.name} "
                "beside it to go on with what is left"
            )

    @contextmanager
    def together(self, *, waits: bool = True) -> Iterator[None]:
        """Hold back what is appended in this block, then write it at once.

        Reading sees it meanwhile. An ask is some fifteen operations, each of which would wait for
        the disk. Blocks may be nested; the outermost says whether it `waits` for the disk. What
        does not survives a kill, and a power cut once something later has waited. When the write
        fails, what the storage has in memory is ahead of the file, so the journal refuses to be
        used any more.

        Raises:
            Superseded: another program took the lock away meanwhile; nothing is written.
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
                    self._write(lines, waits=waits)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all of `logs` or none of them.

        Raises:
            Superseded: another program took the lock away meanwhile; nothing is written.
            LedgerError: they cannot be written.
        """
        lines = [json.dumps(log, separators=(",", ":")).encode()[:-1] + OURS for log in logs]
        if self._held is not None:
            self._held.extend(lines)
            return
        self._refuse_if_broken()
        with self._locked():
            self._write(lines)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from `log_number_from` on; those held back are the last ones."""
        number, offset = self._known if log_number_from >= self._known[0] else (0, 0)
        with self.path.open("rb") as file:
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
            operation: dict[str, Any] = _parsed(line)
        except (ValueError, RecursionError) as error:
            raise LedgerError(f"line {number} of {self.path} is damaged: {error}") from error
        self.last = (number, operation)
        return operation

    def _write(self, lines: list[bytes], *, waits: bool = True) -> None:
        whole: int | None = None
        try:
            # Not "ab": where the file was removed, what follows would be written into a new one.
            with open(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb") as file:
                end = file.seek(0, os.SEEK_END)
                if end < self._size:
                    raise LedgerError(f"{self.path} was truncated by another program: restore it")
                if self._hold != (end, _identity(_lock_of(self.path))):
                    raise Superseded(
                        f"another program took over {self.path} while this driver was stalled "
                        "in a write; this driver writes nothing more"
                    )
                whole = end
                file.write(b"".join(lines))
                file.flush()
                if waits:
                    os.fsync(file.fileno())
                self._size = file.tell()
            self._ours += len(lines)
            if waits:  # the count may be on the disk before what is not waited for
                self._count.write(self._ours)
        except LedgerError as error:
            self._broken = error
            raise
        except OSError as error:
            self._broken = LedgerError(f"cannot write {self.path}: {error.strerror or error}")
            with suppress(OSError):  # a torn line is at the latest cut when it is opened again
                if whole is not None:
                    os.truncate(self.path, whole)
            raise self._broken from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        lock = _lock_of(self.path)
        ours = _identity(lock)
        try:
            self._hold = _end_of(self.path), ours
            yield
        finally:
            # Only ours: a later driver may have replaced the lock of one that stalled.
            if ours is not None and _identity(lock) == ours:
                with suppress(RuntimeError):  # it was taken away this instant
                    self._lock.release()

    def _refuse_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken


class JournalStudies(JournalStorage):
    """The studies of one journal.

    Raises:
        LedgerError: from every method, where a line of it is no operation.
    """

    _backend: Journal

    def __init__(self, journal: Journal) -> None:
        self._listed: dict[int, tuple[int, list[FrozenTrial]]] = {}
        super().__init__(journal)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """As Optuna has it; without copies, of all states, it is the same list as before while
        nothing has been written. Callers leave it as it is."""
        if deepcopy or states is not None:
            return super().get_all_trials(study_id, deepcopy, states)
        with self._thread_lock:
            self._sync_with_backend()
            read = self._replay_result.log_number_read
            number, listed = self._listed.get(study_id, (-1, []))
            if number != read:
                listed = self._replay_result.get_all_trials(study_id, None)
                self._listed[study_id] = read, listed
            return listed

    def _sync_with_backend(self) -> None:
        try:
            super()._sync_with_backend()
        except (LedgerError, OptunaError, OSError):
            raise
        except Exception as error:  # what Optuna says of an operation that is none, or of ours
            number, operation = self._backend.last
            if isinstance(operation, dict) and self._replay_result.worker_id == operation.get(
                "worker_id"
            ):
                raise
            raise LedgerError(
                f"line {number} of {self._backend.path} is not an operation of a study: "
                "restore the file from a backup, or remove the line if another program wrote it"
            ) from error


def _parsed(line: bytes) -> Any:
    """A line of JSON in little memory, since Optuna keeps the values of all trials: keys are the
    same text in all lines, and one number that a line has several times is there once (a trial's
    parameters stand in it three times)."""
    return json.loads(line, object_pairs_hook=_with_known_keys, parse_float=_Numbers().__getitem__)


def _with_known_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {intern(key): value for key, value in pairs}


class _Numbers(dict[str, float]):
    def __missing__(self, text: str) -> float:
        self[text] = number = float(text)
        return number


def _counted(path: Path) -> tuple[int, int]:
    """How many operations of ours a journal has, and its size in bytes."""
    ours = size = 0
    kept = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            ours += (kept + block).count(OURS)
            kept = (kept + block)[-(len(OURS) - 1) :]
    return ours, size


def mend(path: Path) -> bool:
    """Make the journal at `path` fit to be appended to. True if its last line was torn.

    A last line without its newline was never acknowledged to anyone: dropping it forgets nothing
    that was promised.
    """
    if not path.exists():
        return False
    _drop_stale_lock(path)
    return _cut_torn_line(path)


def _end_of(path: Path) -> int:
    """Where a file ends. It is opened for that: a network's file system may know an older end."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END)


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
    lock = _lock_of(path)
    deadline = time.monotonic() + patience
    first = _identity(lock)
    while first is not None and time.monotonic() < deadline:
        time.sleep(0.02)
        if _identity(lock) != first:
            return
    if first is not None:
        lock.unlink(missing_ok=True)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _identity(lock: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(lock)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
