"""A trial that hangs: how long it may be silent, and what ends the process that holds it.

A training may wait for ever: for a lock, a file server, a device. Its worker then ends itself, from
a thread beside the training, and leaves in the trial's log where every thread stood. The driver
sees a worker that died, and in the trial's room why (`attempts`).

Where a library holds Python's own lock no thread of Python runs. A timer of the interpreter's, in
C, writes the log and ends the process a little later; of the reason the driver then knows nothing
but that the worker is gone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Trial
from sweeper.wording import duration

LEAST = 600.0
"""Seconds that a trial may always be silent."""

MULTIPLE = 20.0
"""So many times may it be silent as long as an evaluation with all before it ever took."""

SILENT = "silent"
"""The file in a trial's room that says that its worker ended itself, and why."""

STATUS = 70
"""Exit status of such a process."""

_GRACE = 5.0
"""Seconds after which the timer in C ends the process, where Python could not."""


class Intervals:
    """How long trials take from one evaluation to the next. `longest` is the most that any took."""

    def __init__(
        self, trials: Iterable[Trial], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.longest = max(map(_interval, trials), default=0.0)
        self._clock = clock
        self._since: dict[int, float] = {}

    def begun(self, number: int) -> None:
        """A worker has taken the trial up."""
        self._since[number] = self._clock()

    def heard(self, number: int) -> None:
        """It has reported."""
        now = self._clock()
        self.longest = max(self.longest, now - self._since.get(number, now))
        self._since[number] = now

    def allowed(self, limits: Limits) -> float | None:
        """For how many seconds a trial may be silent; None for ever, where nothing tells."""
        given = limits.trial_silence
        return longest_silence(self.longest) if given == "auto" else given


def _interval(trial: Trial) -> float:
    if trial.pace is None:
        return 0.0
    marks = (0, *(evaluation.step for evaluation in trial.evaluations))
    return trial.pace * max(after - before for before, after in pairwise(marks))


def longest_silence(longest: float) -> float | None:
    """For how many seconds a trial may be silent if its sweep's file does not say; None for ever.

    `longest` is what one took from one evaluation to the next at most, 0 where nothing tells.
    """
    return max(LEAST, MULTIPLE * longest) if longest else None


@contextlib.contextmanager
def ended_when_silent(
    patience: float | None, room: Path, log: int, say: Callable[[str], None] = lambda told: None
) -> Iterator[None]:
    """Inside, this process ends when `patience` seconds have passed. `log` is the descriptor of the
    trial's log; `say` is told why before it ends, and has not long for that."""
    if patience is None:
        yield
        return
    done = threading.Event()
    watch = threading.Thread(target=_end, args=(done, patience, room, log, say), daemon=True)
    watch.start()
    faulthandler.dump_traceback_later(patience + _GRACE, exit=True, file=log)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        done.set()


def _end(
    done: threading.Event, patience: float, room: Path, log: int, say: Callable[[str], None]
) -> None:
    if done.wait(patience):
        return
    told = f"no progress for {duration(patience)} (limits.trial_silence)"
    try:
        with contextlib.suppress(OSError):
            os.write(log, f"{told}; where each thread stands:\n".encode())
            faulthandler.dump_traceback(log, all_threads=True)
            (room / SILENT).write_text(told, encoding="utf-8")
        with contextlib.suppress(SweeperError):
            say(told)
    finally:
        os._exit(STATUS)
