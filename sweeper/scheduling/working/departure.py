"""What tells a worker that it is to leave its machine, between two steps of a training.

SIGTERM to its process   whoever ends a machine's processes politely: Slurm, Kubernetes, a shutdown
a file on its machine    the machine's own watcher has had a notice (`watching`, `eviction`)

A second SIGTERM, and one while nothing is trained, end the process as Ray has it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any


class Departure:
    """Whether this worker is to leave, asked after every step; `reason` says why."""

    def __init__(self, marker: Path | None = None) -> None:
        self._marker = str(marker) if marker else ""
        self._told = ""
        self._training = False
        self._before: Any = signal.SIG_DFL
        self.ends_process = False
        """Whether a signal ends the process now: what is raised then is nobody's fault."""

    def __call__(self) -> bool:
        return bool(self._told) or (bool(self._marker) and os.path.exists(self._marker))

    @property
    def reason(self) -> str:
        """Why; empty where it may stay."""
        if not self._told and self():
            with contextlib.suppress(OSError):
                return Path(self._marker).read_text(encoding="utf-8", errors="replace")
        return self._told

    def listen(self) -> None:
        """Take SIGTERM from now on, if this is the main thread: no other can."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._terminated)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[Callable[[], bool]]:
        """Inside, a training runs that will leave where it is told to."""
        self._training = True
        try:
            yield self
        finally:
            self._training = False

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if self._training and not self._told:
            self._told = "its process was told to end (SIGTERM)"
            return
        self.ends_process = True
        signal.signal(number, self._before)
        signal.raise_signal(number)
