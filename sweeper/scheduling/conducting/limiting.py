"""The limits of a sweep while it runs: they hold, and may become others at any moment.

Another limit counts from the next look on. Trials that were asked for stay; a sweep that came to
its end because of a limit goes on where that is raised before its last trial has ended.
"""

from __future__ import annotations

from dataclasses import replace

from sweeper.home import SweepFolder
from sweeper.scheduling.conducting.failure_counts import FailureCounts
from sweeper.scheduling.conducting.halting import Halt, Halting
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.conducting.meter import Meter
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.wording import setting


class Limiting:
    """Keeps one sweep within its limits."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        ledger: Ledger,
        halting: Halting,
        announcer: Announcer,
        trials: HandOut,
        failures: FailureCounts,
        meter: Meter,
    ) -> None:
        self._sweep = sweep
        self._folder = folder
        self._ledger = ledger
        self._halting = halting
        self._announcer = announcer
        self._trials = trials
        self._failures = failures
        self._meter = meter

    @property
    def limits(self) -> Limits:
        """Those that hold now."""
        return self._sweep.limits

    def within(self, limits: Limits) -> None:
        """These limits hold from now on."""
        before = self._sweep.limits
        if limits == before:
            return
        self._sweep = replace(self._sweep, limits=limits)
        keep_spec(self._sweep, self._folder, None)
        self._ledger.within(limits)
        self._trials.within(limits)
        self._failures.within(limits)
        changes = [
            f"limits.{name} is {setting(value)} now"
            for name, value in limits
            if value != getattr(before, name)
        ]
        self._announcer.limits_changed(self._sweep, self._ledger.plan() or 0, ", ".join(changes))
        self._halting.lift()
        self.check()

    def check(self) -> None:
        """See whether a limit has been reached, and have the sweep come to its end by that. One
        that is complete has come to it: no limit holds off its final score."""
        limits = self._sweep.limits
        failed, reached = self._failures.limit, self._meter.used.limit(limits)
        if not (failed or reached) or self._trials.complete:
            return
        if failed:
            self._halting.too_many_failed = True
            self._halting.stop("at_evaluation", failed, limit=True)
        else:
            how: Halt = "no_new" if limits.landing == "finish" else "at_evaluation"
            self._halting.stop(how, reached, limit=True)
