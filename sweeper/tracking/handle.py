"""The driver's hold on the writer: start it, see that it lives, wait for it at the end.

with Outbox(folder.outbox) as outbox, start_writer(outbox, uri, artifacts) as writer:
    outbox.sweep_started(...)
    ...                               # now and then: writer.ensure_alive()
    outbox.sweep_ended("finished")
    left = writer.drain(timeout=60)
    if left: print(left.advice(name))
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from sweeper.errors import TrackingError
from sweeper.secrets import for_children
from sweeper.tracking.left import Left, waiting
from sweeper.tracking.names import EXIT_BUSY, EXIT_DONE, EXIT_LEFT
from sweeper.tracking.outbox import Outbox
from sweeper.tracking.vendor import WRITER_ENVIRONMENT

LINGER = 60.0
"""Seconds that a writer goes on trying after its driver has gone."""

_RESTART_PAUSE = 1.0
_LONGEST_RESTART_PAUSE = 15.0
_LOG_LIMIT = 1_000_000


class WriterHandle:
    """The writer process of one outbox. Made by `start_writer`."""

    def __init__(
        self, outbox: Outbox, uri: str, artifacts: Path, linger: float, parts: bytes
    ) -> None:
        self._parts = parts
        self._outbox = outbox
        self._uri = uri
        self._artifacts = artifacts
        self._linger = linger
        self._started = 0.0
        self._deaths = 0
        self._process = self._start()

    def __enter__(self) -> WriterHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process that writes now."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """What the writer had to complain about, if anything."""
        return self._outbox.path.with_name("writer.log")

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ensure_alive(self) -> bool:
        """Start the writer again if it has died. Cheap; call it often. Returns whether it lives.

        One that keeps dying is started again ever more rarely, every 15 seconds in the end.
        """
        if self.alive():
            return True
        if self._process.returncode == 0:
            # It left of its own accord: another driver has taken the outbox over.
            return False
        lived = time.monotonic() - self._started
        pause = min(_LONGEST_RESTART_PAUSE, _RESTART_PAUSE * 2.0 ** min(self._deaths, 5))
        if self._deaths and lived < pause:
            return False
        self._deaths = 0 if lived > 2 * _LONGEST_RESTART_PAUSE else self._deaths + 1
        self._release()
        self._process = self._start()
        return True

    def drain(self, timeout: float, enough: Callable[[], bool] = lambda: False) -> Left:
        """Wait until MLflow has everything, for at most `timeout` seconds or until a caller has had
        `enough`. Returns what is left."""
        deadline = time.monotonic() + timeout
        self._call()
        while (
            (left := self._outbox.left()).pending and time.monotonic() < deadline and not enough()
        ):
            self.ensure_alive()
            time.sleep(0.05)
        return left

    def close(self, patience: float = 5.0) -> None:
        """Let the writer go. It ends at once if all has arrived, else within `LINGER` seconds."""
        self._release()
        try:
            self._process.wait(0.0 if self._outbox.left().pending else patience)
        except subprocess.TimeoutExpired:
            # It lingers by itself; no caller is going to wait for it.
            self._process.returncode = 0

    def _start(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.unlink()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *_COMMAND,
                    str(self._outbox.path),
                    str(self._artifacts),
                    f"--linger={self._linger}",
                    f"--session={self._outbox.session}",
                    f"--driver={os.getpid()}",
                    f"--parts={len(self._parts)}",
                ],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(self._uri),
                # Ctrl-C in the terminal is for the driver, which then says what it means.
                start_new_session=True,
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died already: `ensure_alive` sees
            rest = memoryview(self._parts)
            while rest:
                rest = rest[process.stdin.write(rest) :]
        return process

    def _call(self) -> None:
        """Have the writer look at the outbox now."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"\n")
        except BrokenPipeError:
            self.ensure_alive()

    def _release(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()


def start_writer(
    outbox: Outbox, uri: str, artifacts: Path, parts: bytes = b"", *, linger: float = LINGER
) -> WriterHandle:
    """Start the process that sends this outbox to the MLflow at `uri`.

    `artifacts` is the folder for the artifacts of experiments that are new in a database; a server
    keeps them itself. `parts` are the sweep's foreign parts, for the models to be loaded with.
    Returns at once: MLflow is imported, and its schema made, over there.
    """
    return WriterHandle(outbox, uri, artifacts, linger, parts)


def sync(
    outbox: Path, uri: str, artifacts: Path, timeout: float = LINGER, *, again: bool = False
) -> Left:
    """Send what an earlier driver left, without one, and with `again` also what has arrived. Call
    it under the sweep's lock.

    With no driver nothing runs, so what MLflow shows as RUNNING is shown as KILLED. Returns what is
    left after `timeout` seconds.

    Raises:
        TrackingError: a writer is at work already (nothing is sent again then), or it could not
            work at all.
    """
    command = [*_COMMAND, str(outbox), str(artifacts), f"--linger={timeout}"]
    done = subprocess.run(
        [*command, "--again"] if again else command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_environment(uri),
        start_new_session=True,
    )
    if done.returncode == EXIT_BUSY:
        raise TrackingError(
            f"another writer is sending {outbox}; it ends by itself within a minute"
        )
    if done.returncode not in (EXIT_DONE, EXIT_LEFT):
        raise TrackingError(f"the writer failed: {done.stderr.decode(errors='replace').strip()}")
    return waiting(outbox)


_COMMAND = (sys.executable, "-P", "-m", "sweeper.tracking.writer")


def _environment(uri: str) -> Mapping[str, str]:
    """The writer's environment: this package on its path, and no telemetry."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **for_children(os.environ),
        **WRITER_ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "SWEEPER_WRITER_URI": uri,
    }
