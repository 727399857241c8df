"""Where a sweep keeps what it needs: the layout of the home folder, and the lock of its driver.

HOME/
  mlflow.db  mlartifacts/   MLflow's store, when no tracking server is named
  service.db  service.lock  service.mlflow.log
                            what a server over this home keeps, when no database is named
  cache/                    what all sweeps share: decoded data, reference statistics, weights
  NAME/                     one sweep
    sweep.yaml              the file as it was given; in full where more was set beside it, or where
                            there was none
    spec.json               the same, canonical, with every default written out
    lock                    held with flock by the one process that drives the sweep
    study.journal           the ledger (Optuna)
    study.count             how many operations of ours the journal has at least
    study.digest            the trials as readers have them, made of the journal
    identity                the folder's own random name, by which its study knows it
    bucket, bucket.count    where its trials publish, if they do; what lay there when last counted
    outbox.db               events on their way to MLflow
    control                 what an operator asked for: pause, stop or cancel
    driver                  a mark of the last driver, by which machines know the folder
    provenance/DIGEST/      what the sweep was run with: run.json, requirements.txt, changes.patch
    trials/00012/           config.json, checkpoint.pt and the one before it, samples, log.txt,
                            provenance.json; let_go.json where something went (`keep`)
    report/                 leaderboard, figures, the HTML page
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sweeper.errors import NoLocks, SweepBusy, UnknownSweep, UserError
from sweeper.locks import taken
from sweeper.permissions import private
from trials.files import atomic_write
from trials.paths import folder_at
from trials.problems import nearest

HOME_VARIABLE = "SWEEPER_HOME"
DEFAULT_HOME = "sweeps"

NAME_RULE = "letters, digits, '.', '_' and '-', at most 100, not starting with '.' or '-'"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RESERVED = frozenset({"cache", "mlartifacts"})
_RESERVED_BELOW = ("service.", "mlflow.db")
"""How every file of the service's begins, MLflow's database and what SQLite puts beside it: where
one of those is a folder, nobody can read that any more. In any case: some disks know none."""

_REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY),
)
"""What the system says where a file or folder cannot be made, by any user."""

_WORD = 40
"""Bytes of the control file that are looked at."""

_IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR)

TAKEN = "cannot name a sweep: every home uses this name itself"
"""What is said of a reserved name."""

_LOCK_PATIENCE = 0.25  # `driver()` of a status command may hold the lock for an instant


def is_valid_name(name: str) -> bool:
    """Whether `name` may be a sweep's: it becomes a folder, a tag and part of a web address."""
    return _NAME.fullmatch(name) is not None and not is_reserved(name)


def is_reserved(name: str) -> bool:
    """Whether `name` is taken by what all sweeps of a home share."""
    return name in _RESERVED or name.lower().startswith(_RESERVED_BELOW)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the system's refusal to write into a UserError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        # In the way of a file or a folder may be one of the other kind: that one is named.
        file = error.filename2 or error.filename if error.errno in _IN_THE_WAY else None
        raise UserError(f"cannot write {file or f'in {place}'}: {error.strerror}") from error


class Request(StrEnum):
    """What an operator may ask of a running sweep."""

    PAUSE = "pause"
    """Start no new trials; those that run go on."""
    STOP = "stop"
    """Drain: no new trials, and end when those that run have ended."""
    CANCEL = "cancel"
    """End now, after the checkpoints that exist."""


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep. Nothing exists on disk until `create()`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def sweep_yaml(self) -> Path:
        return self.path / "sweep.yaml"

    @property
    def spec_json(self) -> Path:
        return self.path / "spec.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def study_journal(self) -> Path:
        return self.path / "study.journal"

    @property
    def study_digest(self) -> Path:
        return self.path / "study.digest"

    @property
    def identity(self) -> Path:
        return self.path / "identity"

    @property
    def bucket(self) -> Path:
        return self.path / "bucket"

    @property
    def outbox(self) -> Path:
        return self.path / "outbox.db"

    @property
    def driver_mark(self) -> Path:
        return self.path / "driver"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def trials(self) -> Path:
        return self.path / "trials"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance"

    @property
    def report(self) -> Path:
        return self.path / "report"

    def trial(self, number: int) -> Path:
        """Folder of one trial: `trials/00012`."""
        return self.trials / f"{number:05d}"

    def exists(self) -> bool:
        """Whether a sweep was ever started here."""
        return self.spec_json.is_file()

    def create(self) -> None:
        """Make the folders that are missing."""
        with writing(self.path):
            for folder in (self.path, self.trials, self.report):
                folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self, *, take_over: bool = False) -> Iterator[None]:
        """Be the one process that drives this sweep.

        The kernel frees the lock when its holder dies, however it dies. With `take_over` a holder
        that lives, frozen or on a machine that is cut off, keeps a lock that is nobody's any more:
        only its attempt then tells it that it was superseded.

        Raises:
            SweepBusy: another process holds it; its pid is named.
            NoLocks: the file system has none.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            if take_over:
                self.lock_file.unlink(missing_ok=True)
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline = time.monotonic() + _LOCK_PATIENCE
            while not taken(descriptor):
                if time.monotonic() >= deadline:
                    raise SweepBusy(self.name, _read_pid(descriptor))
                time.sleep(0.01)
            if not _is_at(descriptor, self.lock_file):
                raise SweepBusy(self.name, None)  # it was taken over while we waited for it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            try:
                yield
            finally:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def driver(self) -> int | None:
        """Pid of the process that drives this sweep now, 0 when it has not said, None if none."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return None if taken(descriptor, shared=True) else _read_pid(descriptor) or 0
        except NoLocks:
            return None  # nobody can drive there
        finally:
            os.close(descriptor)

    def ask(self, request: Request) -> None:
        """Leave a request for the driver of this sweep, in place of an earlier one."""
        with writing(self.path), private(self.path.parent):
            atomic_write(self.control, request.value + "\n")
            if os.geteuid() == 0:  # the driver is a process of the user who owns the folder
                owner = self.path.stat()
                os.chown(self.control, owner.st_uid, owner.st_gid)

    def asked(self) -> Request | None:
        """The request that waits here, if any."""
        try:
            text = self.control.read_bytes()[:_WORD].decode(errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"cannot read {self.control}: {error.strerror}; remove it") from error
        try:
            return Request(text)
        except ValueError as error:
            requests = ", ".join(Request)
            raise UserError(
                f"{self.control} holds {text!r}, expected one of {requests}: remove the file"
            ) from error

    def clear_request(self) -> None:
        """Withdraw the request, as `resume` does and a driver that has obeyed it."""
        with writing(self.path):
            self.control.unlink(missing_ok=True)


@dataclass(frozen=True)
class Home:
    """A folder of sweeps."""

    path: Path

    @classmethod
    def at(cls, path: Path | str | None = None) -> Home:
        """The home at `path`, else at $SWEEPER_HOME, else ./sweeps; always an absolute path.

        Raises:
            UserError: that can be no folder.
        """
        chosen = path if path is not None else os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        try:
            return cls(folder_at(chosen))
        except ValueError as error:
            raise UserError(f"cannot use this home: {error}") from error

    @property
    def flag(self) -> str:
        """What a command must be given to find this home, ` --home …`; empty for the usual one."""
        try:
            is_usual = self == Home.at()
        except UserError:  # the usual one can be none, as where the current folder was removed
            is_usual = False
        return "" if is_usual else f" --home {shlex.quote(str(self.path))}"

    @property
    def mlflow_db(self) -> Path:
        return self.path / "mlflow.db"

    @property
    def mlartifacts(self) -> Path:
        return self.path / "mlartifacts"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    def sweep(self, name: str) -> SweepFolder:
        """The folder of this name, whether or not it exists.

        Raises:
            UserError: a sweep cannot have that name.
        """
        if is_reserved(name):
            raise UserError(f"{name!r} {TAKEN}")
        if not is_valid_name(name):
            raise UserError(f"{name!r} cannot name a sweep: a name is {NAME_RULE}")
        return SweepFolder(self.path / name)

    def existing(self, name: str) -> SweepFolder:
        """The folder of a sweep that was started.

        Raises:
            UnknownSweep: there is none; the names that there are, are given.
        """
        folder = self.sweep(name)
        if not folder.exists():
            names = self.names()
            close = nearest(name, names)
            hint = f"did you mean {close!r}? " if close else ""
            there = f"{hint}there are: {', '.join(names) or 'none yet'}"
            raise UnknownSweep(f"no sweep named {name!r} in {self.path}; {there}")
        return folder

    def names(self) -> list[str]:
        """Names of all sweeps that were started here, sorted."""
        if not self.path.is_dir():
            return []
        return sorted(
            entry.name
            for entry in self.path.iterdir()
            if is_valid_name(entry.name) and SweepFolder(entry).exists()
        )


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that lies at `path` now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
