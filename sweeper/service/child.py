"""A server that is a child of the service: started, waited for, started again where it dies."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.secrets import redacted
from sweeper.tracking.serving import end_server, start_server

PATIENCE = 180.0
"""Seconds until a child must answer; a new database of MLflow's takes a minute on a slow disk."""

PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Seconds before each further start, the last one from then on."""

STEADY = 60.0
"""Seconds after which one that dies is started again at once."""

_LOOK_EVERY = 0.2

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""What is on loopback is not behind the machine's proxy."""

_log = logging.getLogger(__name__)


class Child:
    """The server `name`, which answers at `health` when it is up; what it says is kept in `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        health: str,
        log: Path,
    ) -> None:
        self._name = name
        self._command = command
        self._environment = environment
        self._health = health
        self._log = log
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; `wait` says when it is up."""
        self._thread.start()

    def wait(self, ending: threading.Event, patience: float = PATIENCE) -> None:
        """Wait until it answers, or everything is about to end.

        Raises:
            SweeperError: it has ended instead, or does not answer.
        """
        deadline = time.monotonic() + patience
        while not ending.is_set() and not self._answers():
            if self._ended.is_set():
                raise SweeperError(f"{self._name} has ended at once: {self._last_words()}")
            if time.monotonic() > deadline:
                raise SweeperError(
                    f"{self._name} does not answer at {self._health} after {patience:g} s; "
                    f"{self._log} has what it said"
                )
            time.sleep(_LOOK_EVERY)

    def stop(self) -> None:
        """End it, and all that it has started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # The kernel ends a child with the thread that has started it: it is this one, throughout.
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            server = self._started()
            while not self._stopping.is_set() and server.poll() is None:
                self._stopping.wait(_LOOK_EVERY)
            status = server.poll()
            end_server(server)
            if self._stopping.is_set():
                return
            self._ended.set()
            failures = 0 if time.monotonic() - began > STEADY else failures + 1
            pause = PAUSES[min(failures, len(PAUSES)) - 1] if failures else 0.0
            _log.warning("%s has ended with status %s and is started again", self._name, status)
            self._stopping.wait(pause)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as output:  # what an earlier one said is of no more use
            os.chmod(self._log, 0o600)
            return start_server(self._command, self._environment, output.fileno())

    def _answers(self) -> bool:
        try:
            with _DIRECT.open(self._health, timeout=2.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        return f"{redacted(lines[-1].strip()) if lines else 'it said nothing'} ({self._log})"
