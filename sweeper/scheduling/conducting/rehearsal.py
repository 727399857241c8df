"""The rehearsal: a worker opens the data and the extractor, and trains the base for one step.

It comes before the first trial, so that what no trial could do without (data, weights, packages,
a driver for the GPU) is missed once, in one sentence, with nothing started. And it is the control
trial where workers die: does the machine kill everything, or this trial only (`retries`)?

It leaves nothing behind, and no trial's numbers depend on it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from sweeper.causes import OUT_OF_MEMORY
from sweeper.errors import SweeperError
from sweeper.home import SweepFolder
from sweeper.scheduling.conducting.retries import pause
from sweeper.scheduling.working import attempts
from sweeper.scheduling.working.messages import REHEARSAL, Report, Work
from sweeper.sweepfile.model import Sweep

DEATHS = 5
"""Rehearsals in a row that may die with their worker, until the machine counts as broken."""


class Rehearsal:
    """The rehearsals of one sweep. `opening` says that its first one is due."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        *,
        opening: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.due = self.opening = opening
        self.active = False
        self._base = sweep.base
        self._folder = folder.path / ".rehearsal"
        self._clock = clock
        self._deaths = 0
        self._until = 0.0

    def next_work(self) -> Work | None:
        """A rehearsal for a free worker; None while none is to be held."""
        if not self.due or self.active or self._clock() < self._until:
            return None
        self.active = True
        room = attempts.hand_out(self._folder)
        return Work(REHEARSAL, str(self._folder), str(room), dict(self._base))

    def heard(self, report: Report) -> None:
        """A worker has held it.

        Raises:
            SweeperError: what it met with would meet every trial.
        """
        begun = "no trial was started" if self.opening else "no more trials are started"
        self._end()
        self.due = self.opening = False
        self._deaths = 0
        failure = report.failure
        # Of memory the base may need more than other configurations do.
        if failure is not None and failure.cause != OUT_OF_MEMORY:
            raise SweeperError(
                f"{begun}, since not even the base configuration can be trained: {failure.reason}; "
                "fix this and run the sweep again"
            )

    def died(self, reason: str) -> None:
        """Its worker has died.

        Raises:
            SweeperError: so have too many in a row.
        """
        reason = attempts.silent_in(self._folder) or reason
        self._end()
        self._deaths += 1
        self._until = self._clock() + pause(self._deaths)
        if self._deaths == DEATHS:
            raise SweeperError(
                f"workers die here whatever they train, the base configuration too: {reason}; "
                "nothing is lost: fix this and run the sweep again"
            )

    def interrupt(self) -> None:
        """It is held no more."""
        if self.active:
            self._end()

    def _end(self) -> None:
        self.active = False
        attempts.take_back(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)
