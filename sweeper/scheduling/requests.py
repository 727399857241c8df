"""What is asked of a running driver from outside: signals, and the control file.

Ctrl-C once    drain: every trial stands still at its next evaluation, and can be resumed
Ctrl-C twice   end now; a third time is Python's own KeyboardInterrupt
SIGTERM        end now, with status 143
control file   pause, stop (the running trials may end) or cancel (end now)
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from sweeper.errors import UserError
from sweeper.home import Request, SweepFolder

LOOK_EVERY = 0.5
"""Seconds between two looks at the control file."""


class Requests:
    """Collects what has been asked; the driver looks at it in its own time."""

    def __init__(self, folder: SweepFolder) -> None:
        self.interrupts = 0
        self.terminated = False
        self._folder = folder
        self._next_look = 0.0
        self._request: Request | None = None

    @property
    def asked_so_far(self) -> tuple[int, bool]:
        """How often Ctrl-C was pressed, and whether SIGTERM has come."""
        return self.interrupts, self.terminated

    def written(self) -> Request | None:
        """The request in the control file, looked up at most every half second.

        One that cannot be read, since another user has left it or it is none, changes nothing.
        """
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_EVERY
            with suppress(OSError, UserError):
                self._request = self._folder.asked()
        return self._request

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM for the length of the block, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def listen(self) -> None:
        """Take the signals, again where Ray has taken them meanwhile: its C++ part answers SIGTERM
        with a stack trace. Only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._interrupted)
            signal.signal(signal.SIGTERM, self._terminated)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += 1
        if self.interrupts > 2:
            raise KeyboardInterrupt

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        self.terminated = True


# Tune takes SIGUSR1 for itself and does not give it back.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
