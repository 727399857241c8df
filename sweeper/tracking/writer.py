"""The writer: a process beside the driver that sends what the outbox holds to MLflow.

    python -m sweeper.tracking.writer OUTBOX ARTIFACTS --linger SECONDS      (by `start_writer`)

It reads the address of MLflow from SWEEPER_WRITER_URI, where no process list shows it. The driver
holds the other end of its standard input. The first `--parts` bytes there are the parts that the
sweep's models need and that are not installed; a byte after them means "look now", its end means
that the driver is gone, however it went. Then the writer sends what is left for at most `--linger`
seconds, shows what was running as KILLED, and exits. It may itself be killed at any moment: all it
knows is in the outbox, and another continues.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import getpass
import os
import random
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sweeper.errors import TrackingError
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.models import log_folder
from sweeper.tracking.names import EXIT_BUSY, EXIT_DONE, EXIT_LEFT
from sweeper.tracking.receipts import Receipts
from sweeper.tracking.sender import Sender
from sweeper.tracking.store import Store, Unreachable

INTERVAL = 1.0
"""Seconds between looks at the outbox: what a trial says in that time goes as one batch."""
LONGEST_PAUSE = 15.0
NICENESS = 5

URI_VARIABLE = "SWEEPER_WRITER_URI"


class Driver:
    """The process at the other end of standard input, or its absence."""

    def __init__(self, descriptor: int, pid: int | None) -> None:
        self._descriptor = descriptor
        self._pid = pid
        self.gone = False

    def wait(self, seconds: float) -> None:
        """Sleep, unless the driver calls or dies."""
        readable, _, _ = select.select([self._descriptor], [], [], seconds)
        if readable and not os.read(self._descriptor, 4096):
            self.gone = True
        # A copy of the pipe in some other child would hide its end.
        if self._pid is not None and os.getppid() != self._pid:
            self.gone = True


class Work:
    """Sending one outbox until the driver is gone and all has arrived, or time is up."""

    def __init__(
        self,
        backlog: Backlog,
        uri: str,
        artifacts: Path,
        driver: Driver,
        linger: float,
        parts: bytes,
    ) -> None:
        self._log_folder = functools.partial(log_folder, parts=parts)
        self._backlog = backlog
        self._uri = uri
        self._artifacts = artifacts
        self._driver = driver
        self._linger = linger
        self._deadline: float | None = None
        self._store: Store | None = None
        self._sender: Sender | None = None
        self._failures = 0

    def run(self) -> int:
        """Returns the exit status of the process."""
        while not self._backlog.superseded():
            if self._driver.gone and self._deadline is None:
                self._deadline = time.monotonic() + self._linger
                self._backlog.interrupt()
            began = time.monotonic()
            pause = self._pass()
            waits = bool(self._backlog.waiting())
            if self._deadline is None:
                self._driver.wait(pause or max(0.0, began + INTERVAL - time.monotonic()))
                while not (pause or waits or self._called_away() or self._backlog.changed()):
                    self._driver.wait(INTERVAL)
            elif not waits:
                self._fold()
                return EXIT_DONE
            elif time.monotonic() + pause >= self._deadline:
                return EXIT_LEFT
            else:
                time.sleep(pause)
        return EXIT_DONE

    def _pass(self) -> float:
        """Send what waits. Returns the seconds to leave MLflow alone, 0 if it is well."""
        pause = 0.0
        try:
            if self._sender is None:
                self._store = Store(self._uri, self._artifacts)
                self._sender = Sender(self._backlog, self._store, _user(), self._log_folder)
            self._sender.send(lambda: not self._called_away())
            self._backlog.report("")
            self._failures = 0
        except Unreachable as error:
            self._backlog.report(str(error))
            pause = min(LONGEST_PAUSE, 2.0 ** min(self._failures, 5)) * random.uniform(0.5, 1.0)
            self._failures += 1
        self._backlog.tidy()
        return pause

    def _fold(self) -> None:
        if self._store is not None:
            with contextlib.suppress(TrackingError):  # read just now; SQLite folds it later
                self._store.fold()

    def _called_away(self) -> bool:
        """Whether to stop in the middle: replaced, out of time, or the driver has just gone."""
        if self._deadline is not None:
            return time.monotonic() >= self._deadline or self._backlog.superseded()
        self._driver.wait(0.0)
        return self._driver.gone or self._backlog.superseded()


@contextlib.contextmanager
def sole(path: Path, *, wait: bool) -> Iterator[bool]:
    """Be the only writer of this outbox; False where another is at work and `wait` is off."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the process. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m sweeper.tracking.writer")
    parser.add_argument("outbox", type=Path)
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("--linger", type=float, required=True)
    parser.add_argument("--session", default="", help="end when the outbox has another one")
    parser.add_argument("--driver", type=int, help="pid of the driver, if there is one")
    parser.add_argument("--again", action="store_true", help="send also what has arrived before")
    parser.add_argument("--parts", type=int, default=0, help="bytes of parts on standard input")
    chosen = parser.parse_args(arguments)
    os.nice(NICENESS)
    parts = _read(sys.stdin.fileno(), chosen.parts)
    try:
        with Backlog(chosen.outbox, chosen.session) as backlog:
            lock = chosen.outbox.with_suffix(".lock")
            with sole(lock, wait=chosen.driver is not None) as alone:
                if not alone:
                    return EXIT_BUSY
                if chosen.again:  # under another writer's hands, runs would be made twice
                    Receipts(backlog).send_all_again()
                driver = Driver(sys.stdin.fileno(), chosen.driver)
                uri = os.environ[URI_VARIABLE]
                work = Work(backlog, uri, chosen.artifacts, driver, chosen.linger, parts)
                return work.run()
    except TrackingError as error:
        print(error, file=sys.stderr)
        return 1


def _read(descriptor: int, count: int) -> bytes:
    """So many bytes, or what came of them before the end: not one more, as a buffer would."""
    data = b""
    while len(data) < count and (more := os.read(descriptor, count - len(data))):
        data += more
    return data


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return f"uid {os.getuid()}"


if __name__ == "__main__":
    # All is on disk; the libraries' farewells would take another second.
    os._exit(main())
