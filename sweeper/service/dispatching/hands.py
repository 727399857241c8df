"""The dispatcher's hands: what it has done outside of the database, where answers take time.

One thing after another, so that an old driver is ended before its successor is started. What fails
is tried again by a later look: starting a job that is there does nothing, nor does ending one that
is not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from sweeper.errors import SweeperError
from sweeper.service.queue.asking import Machine

AGAIN = 20.0
"""Seconds after which what was asked for is asked for again."""

log = logging.getLogger(__name__)


class Jobs(Protocol):
    """Runs drivers as processes, somewhere."""

    def machines(self) -> Sequence[Machine]:
        """The machines for trials; none while they cannot be asked.

        Raises:
            SweeperError: they cannot be asked.
        """

    def start(self, job: str, arguments: Sequence[str]) -> None:
        """Have a driver run under this name, unless that was done before.

        Raises:
            SweeperError: it cannot be started.
        """

    def end(self, job: str) -> None:
        """End the driver of this name, if it runs.

        Raises:
            SweeperError: it cannot be ended.
        """


class Hands:
    """Does one thing after another, in a thread of its own; each at most every AGAIN seconds."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hands")
        self._asked: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._lock = threading.Lock()

    def do(self, what: str, action: Callable[[], object]) -> None:
        """Have `action` done under the name `what`, unless it was asked for of late."""
        now = time.monotonic()
        with self._lock:
            self._asked = {one: when for one, when in self._asked.items() if now - when < AGAIN}
            if what in self._asked:
                return
            self._asked[what] = now
        self._pool.submit(self._do, what, action)

    def failed(self, what: str) -> str:
        """Why it could not be done when it was last tried; empty if it could, or was not yet."""
        return self._failed.get(what, "")

    def close(self) -> None:
        """Let go; what is being done is done to its end."""
        self._pool.shutdown(cancel_futures=True)

    def _do(self, what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except SweeperError as error:
            self._failed[what] = str(error)
            log.warning("cannot %s: %s", what, error)
        except Exception:
            log.exception("cannot %s", what)
        else:
            self._failed.pop(what, None)
