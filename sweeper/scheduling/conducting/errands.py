"""What workers are sent for that is no trial, and trials wait for: rehearsals, and probes."""

from __future__ import annotations

from sweeper.scheduling.conducting.failure_counts import FailureCounts
from sweeper.scheduling.conducting.rehearsal import Rehearsal
from sweeper.scheduling.conducting.retries import Retries
from sweeper.scheduling.conducting.sharing import Sharing
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.scheduling.working.machine_checks import check_machine
from sweeper.scheduling.working.messages import REHEARSAL, Report, Work
from sweeper.trial import Trial


class Errands:
    """The errands of one sweep; `rehearsal` and `sharing` know when one is due."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        sharing: Sharing,
        retries: Retries,
        failures: FailureCounts,
        announcer: Announcer,
    ) -> None:
        self._rehearsal = rehearsal
        self._sharing = sharing
        self._retries = retries
        self._failures = failures
        self._announcer = announcer

    @property
    def active(self) -> int:
        """How many workers are on one."""
        return self._rehearsal.active + self._sharing.active

    @property
    def opening(self) -> bool:
        """Whether the sweep has yet to rehearse before its first trial."""
        return self._rehearsal.opening

    @property
    def first(self) -> bool:
        """Whether no trial is to be handed out before one is done, or begun."""
        return self._rehearsal.opening or self._sharing.holds

    def rests(self, trial: Trial) -> bool:
        """Whether a trial is to wait: after a death, or until its shape is known."""
        return self._retries.rests(trial.number) or self._sharing.rests(trial)

    def next_work(self) -> Work | None:
        """One for a free worker; None while none is due."""
        if self._rehearsal.opening:
            self._announcer.enter("rehearsing", "data, extractor, one step of the base")
            return self._rehearsal.next_work()
        return self._rehearsal.next_work() or self._sharing.next_work()

    def started(self, number: int) -> None:
        """A worker has taken one up."""
        if number != REHEARSAL:
            self._sharing.started(number)

    def heard(self, number: int, report: Report) -> None:
        """A worker is back.

        Raises:
            SweeperError: what it met with would meet every trial.
        """
        if report.failure is not None:
            check_machine(report.failure)
        if number != REHEARSAL:
            self._sharing.heard(number, report)
            return
        if self._rehearsal.opening:
            self._announcer.enter("searching")
        self._rehearsal.heard(report)
        self._retries.rehearsed()

    def died(self, number: int, reason: str) -> None:
        """The worker that was sent is gone.

        Raises:
            SweeperError: too many in a row are.
        """
        if number == REHEARSAL:
            self._rehearsal.died(reason)
        elif not self._sharing.died(number):
            self._failures.false_start(reason)

    def withdraw(self, number: int) -> None:
        """One that has found no worker yet is to have none for now."""
        if number == REHEARSAL:
            self._rehearsal.interrupt()
        else:
            self._sharing.died(number)

    def lost(self, reason: str) -> None:
        """Every worker is gone at once."""
        if self._rehearsal.active:
            self._rehearsal.died(reason)
        self._sharing.lost()

    def interrupt(self) -> None:
        """None is waited for any more."""
        self._rehearsal.interrupt()
        self._sharing.interrupt()
