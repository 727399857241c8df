"""Measures what a sweep uses: see `Usage`. The study has it from evaluation to evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable

from sweeper.search.ledger import Ledger
from sweeper.standings.usage import Usage
from sweeper.sweepfile.resources import Given

KEEP_EVERY = 60.0
"""Seconds between two notes in the study where no trial is evaluated meanwhile."""


class Meter:
    """Measures for one driver; `used` is of all runs together."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self.used = ledger.used
        self._ledger = ledger
        self._clock = clock
        self._looked: float | None = None
        self._kept = clock()

    def look(self, held: Given, idle: bool) -> None:
        """Count what has passed since the last look, in which all trials at work together `held` so
        much; it is no time of the sweep's where it was `idle`. The first look counts nothing."""
        now = self._clock()
        passed = 0.0 if self._looked is None else now - self._looked
        self._looked = now
        self.used = Usage(
            self.used.seconds + (0.0 if idle else passed),
            self.used.gpu_seconds + passed * held.gpu,
            self.used.cpu_seconds + passed * held.cpu,
        )
        if now - self._kept >= KEEP_EVERY:
            self.keep()

    def keep(self) -> None:
        """Write it down."""
        self._kept = self._clock()
        self._ledger.use(self.used)
