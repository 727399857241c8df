"""What is asked of a running driver from outside: by signals, and by whoever steers it.

Ctrl-C once    drain: every trial stands still at its next evaluation, and can be resumed
Ctrl-C twice   end now; a third time is Python's own KeyboardInterrupt
SIGTERM        end now, with status 143
SIGHUP         the same with status 129: its terminal was closed
steering       pause, stop (the running trials may end) or cancel (end now); how many trials may be
               at work; other limits

A signal that was ignored when the run began stays so, as nohup and shells have it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from sweeper.home import Request
from sweeper.scheduling.conducting.steering import Order, Steering
from sweeper.sweepfile.sections import Limits

LOOK_EVERY = 0.5
"""Seconds between two questions to whoever steers."""


class Requests:
    """Collects what has been asked; the driver looks at it in its own time."""

    def __init__(self, steering: Steering) -> None:
        self.interrupts = 0
        self.ended_by: signal.Signals | None = None
        self._ignored: set[signal.Signals] = set()
        self._steering = steering
        self._next_look = 0.0
        self._written: Request | None = None
        self._orders: Sequence[Order] = ()
        self._obeyed: set[str] = set()

    @property
    def asked_so_far(self) -> tuple[int, signal.Signals | None]:
        """How often Ctrl-C was pressed, and which other signal has come last."""
        return self.interrupts, self.ended_by

    def written(self) -> Request | None:
        """What whoever steers asks of the sweep, looked up at most every half second.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        self._look()
        return self._written

    def parallel(self) -> int | None:
        """How many trials may be at work; None: as many as the sweep's file says.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        return self._steering.parallel()

    def limits(self) -> Limits | None:
        """The sweep's limits, as they are now; None: as they were when it began to run.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        return self._steering.limits()

    def have_obeyed(self, obey: Callable[[Order], str]) -> None:
        """Have `obey` do what is asked for single trials, each order once, and tell what it says
        has come of it.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        self._look()
        orders, self._orders = self._orders, ()
        for order in orders:
            if order.id not in self._obeyed:
                self._obeyed.add(order.id)
                self._steering.done(order, obey(order))

    def _look(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._written = self._steering.asked()
        self._orders = self._steering.orders()
        self._next_look = time.monotonic() + LOOK_EVERY

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals for the length of the block, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {number: signal.getsignal(number) for number in (*_ENDINGS, *_OF_TUNE)}
        self._ignored = {number for number in _ENDINGS if kept[number] == signal.SIG_IGN}
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
            for number in _ENDINGS:
                signal.signal(number, signal.SIG_IGN if number in self._ignored else self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            self.ended_by = signal.Signals(number)
            return
        self.interrupts += 1
        if self.interrupts > 2:
            raise KeyboardInterrupt


_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_TUNE = (signal.SIGUSR1,)
"""What Tune takes for itself and does not give back."""
