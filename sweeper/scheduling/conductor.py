"""What the driver does with trials, without a word about Ray.

    next_work    hand a trial to a free worker (`hand_out`)
    started      a worker has it
    heard        a worker reports: write it down, then let the trial go on or end it
    died         a worker is gone: the trial goes on elsewhere, a few times

Every change goes to the ledger first, then to MLflow's outbox, then to the listeners. Each can be
cut off from the next by a kill; the next run makes it good from the ledger.
"""

from __future__ import annotations

from typing import Literal

from sweeper.causes import OUT_OF_MEMORY, SCHEDULER, WORKER_DIED, cause
from sweeper.errors import SweeperError
from sweeper.home import SweepFolder
from sweeper.scheduling.announcer import Announcer
from sweeper.scheduling.endings import verdict_of
from sweeper.scheduling.events import Listener
from sweeper.scheduling.failure_counts import SAME_FAILURES, FailureCounts
from sweeper.scheduling.failures import DISK_FULL, NOT_SHARED
from sweeper.scheduling.hand_out import HandOut
from sweeper.scheduling.machines import NotShared
from sweeper.scheduling.messages import Failure, Report, Work
from sweeper.scheduling.recorder import Recorder
from sweeper.search.ledger import Ledger
from sweeper.search.stopping_rule import TakeOver
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, Symptom, Trial

RETRIES = 2
"""How often a trial goes on after its worker died without getting any further in between."""

_STARVED = "node running low on memory"
"""What a cluster's memory monitor says of a worker that it killed."""

Halt = Literal["", "no_new", "at_evaluation"]
"""How the sweep is coming to its end: not; when the running trials end; when they next report."""


class NothingWorks(SweeperError):  # noqa: N818 - what happened
    """Trial after trial fails for a reason that is not its own."""


class DiskFull(SweeperError):  # noqa: N818 - what happened
    """There is no space left where a trial writes."""


class Conductor:
    """Drives the trials of one sweep. One thread only."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        ledger: Ledger,
        recorder: Recorder,
        listener: Listener,
    ) -> None:
        self.sweep = sweep
        self.paused = False
        self.halt: Halt = ""
        self.message = ""
        self.again = "run the sweep again"
        self.limited = False
        self.too_many_failed = False
        self.reports = 0
        self._folder = folder
        self._ledger = ledger
        self._recorder = recorder
        self._announcer = Announcer(sweep, listener)
        self._trials = HandOut(sweep, folder, ledger, self._announcer)
        self._failures = FailureCounts(sweep.limits, ledger.counts()["fail"])
        self._check_failures()

    @property
    def finished(self) -> bool:
        """No trial is at work and none will be handed out."""
        return not self._trials.active and (bool(self.halt) or self._trials.over)

    @property
    def complete(self) -> bool:
        """Everything that the sweep asks for has been done."""
        return not self._trials.active and self._trials.over

    def next_work(self) -> Work | None:
        """A trial for a free worker; None while there is none to hand out."""
        return None if self.halt or self.paused else self._trials.next_work()

    # What workers say

    def started(self, number: int) -> None:
        """A worker has taken the trial up."""
        trial = self._trials.active.get(number)
        if trial is None:
            return  # it was ended meanwhile
        if self._ledger.ended_by_others(number):
            self._give_up(number)
            return
        self._trials.running.add(number)
        self._failures.started()
        attempt = self._ledger.started(number)
        self._recorder.trial_started(trial)
        self._announcer.started(trial, attempt)

    def heard(self, number: int, report: Report) -> bool:
        """Take a worker's report. True if the trial must stop there."""
        if number not in self._trials.active:
            return True  # it was ended meanwhile
        if self._ledger.ended_by_others(number):
            self._give_up(number)
            return True
        self.reports += 1
        if report.failure is not None:
            self._failed_in_training(number, report.failure)
            return True
        if report.evaluations:
            self._failures.evaluated()
        # One write: an evaluation that is in the ledger has its verdict there too.
        with self._ledger.together():
            fresh = [
                evaluation
                for evaluation in report.evaluations
                if self._ledger.report(number, evaluation)
            ]
            ended, taken = self._conclude(number, report)
        for evaluation in fresh:
            self._announce(number, evaluation)
        if ended is not None:
            self._ended(ended)
            return True
        if taken is not None:
            self._begin_anew(number, taken)
            return True
        if self.halt == "at_evaluation":
            self._interrupt(number)
            return True
        return False

    def died(self, number: int, reason: str) -> None:
        """The worker of a trial is gone, and with it what the trial had not saved."""
        running = number in self._trials.running
        if number in self._trials.active and self._ledger.ended_by_others(number):
            self._give_up(number)
        trial = self._trials.take_back(number)
        if trial is None:
            return
        if not running:
            self._failures.false_start(reason)
            self._trials.first_again(trial)
            return
        deaths = self._ledger.died(number)
        symptom = OUT_OF_MEMORY if _STARVED in reason else WORKER_DIED
        if deaths > RETRIES:
            told = f"its worker died {deaths} times at the same place; the last time: {reason}"
            self._fail(number, Failure(symptom, told))
            return
        self._retry(number, symptom, reason)

    def lost_all(self, reason: str) -> None:
        """Every worker is gone at once."""
        for number in list(self._trials.active):
            self.died(number, reason)

    def interrupt_all(self) -> None:
        """Interrupt what still runs; it goes on when the sweep is run again."""
        for number in list(self._trials.active):
            self._interrupt(number)

    def stop(self, how: Halt, message: str, *, limit: bool = False) -> None:
        """Hand out no more trials; those at work end as `how` says. Saying it again may hasten.

        `limit` says that a limit has been reached, which the next run would reach at once.
        """
        if self.halt == "at_evaluation" or self.halt == how:
            return
        self.halt, self.message, self.limited = how, message, limit
        self.again = f"{'raise it and ' if limit else ''}run the sweep again"
        self._announcer.enter("draining", message)

    def pause(self, paused: bool) -> None:
        """Hand out no trials until further notice, or again."""
        if paused == self.paused:
            return
        self.paused = paused
        if not self.halt:
            self._announcer.paused(paused)

    def _begin_anew(self, number: int, taken: TakeOver) -> None:
        """The trial goes on from another one's checkpoint, as soon as a worker is free."""
        self._trials.take_back(number)
        reason = f"goes on from trial {taken.donor:05d} as it was at step {taken.donor_step}"
        self._retry(number, None, reason)

    def _retry(self, number: int, symptom: str | None, reason: str) -> None:
        self._recorder.trial_paused(number, "retrying")
        self._announcer.stands_still(number, "retrying", symptom, reason)
        self._trials.first_again(self._ledger.trial(number))

    # Ending a trial

    def _conclude(
        self, number: int, report: Report
    ) -> tuple[Trial, None] | tuple[None, TakeOver | None]:
        """Tell the study what becomes of the trial: its record if it has ended, else whose
        checkpoint it goes on from, if another's."""
        if report.finished:
            self._finish(number, report.stopped_by)
            return self._ledger.trial(number), None
        if not self._ledger.scheduler.undecided(number):
            return None, None
        reason = self._ledger.scheduler.verdict(number)
        if reason is not None:
            self._ledger.prune(number, SCHEDULER, reason)
            return self._ledger.trial(number), None
        taken = self._ledger.scheduler.take_over(number)
        if taken is None:
            self._ledger.scheduler.went_on(number)
        return None, taken

    def _finish(self, number: int, stopped_by: Symptom | None) -> None:
        end = verdict_of(self.sweep, self._ledger.trial(number), stopped_by)
        if end.state == "completed":
            self._ledger.complete(number, end.values)
        elif end.state == "pruned":
            self._ledger.prune(number, end.symptom, end.reason)
        else:
            self._ledger.fail(number, end.symptom, end.reason)

    def _ended(self, trial: Trial) -> None:
        self._trials.take_back(trial.number)
        self._recorder.trial_ended(trial)
        replicate = trial.role == "replicate"
        if replicate:
            self._trials.replicates.ended(trial)
        self._announcer.ended(trial)
        if trial.state == "failed":
            self._failures.failed()
            self._check_failures()

    def _fail(self, number: int, failure: Failure) -> None:
        self._ledger.fail(number, failure.symptom, failure.reason, failure.log)
        self._ended(self._ledger.trial(number))

    def _failed_in_training(self, number: int, failure: Failure) -> None:
        if failure.symptom == DISK_FULL:
            raise DiskFull(
                f"no space left for trial {number:05d} in {self._folder.trial(number)}: make room, "
                "then run the sweep again; it goes on where it stands"
            )
        if failure.symptom == NOT_SHARED:
            raise NotShared(f"{failure.reason}, then run the sweep again; nothing is lost")
        useless = self._failures.raised(failure)
        self._fail(number, failure)
        if useless and not self.halt:  # limits.failed may have said so already
            raise NothingWorks(
                f"{SAME_FAILURES} trials failed one after another for the same reason: "
                f"{failure.reason}; mend that, then {cause(failure.symptom).way_on}"
            )

    def _interrupt(self, number: int) -> None:
        self._trials.take_back(number)
        self._recorder.trial_paused(number, "interrupted")
        self._announcer.stands_still(number, "interrupted")

    def _give_up(self, number: int) -> None:
        """Another program has ended the trial in the study: another one takes its place."""
        self._trials.replace(number)
        self._recorder.trial_paused(number, "interrupted")
        self._announcer.stands_still(number, "interrupted", reason="ended by another program")

    def _check_failures(self) -> None:
        if self._failures.limit:
            self.too_many_failed = True
            self.stop("at_evaluation", self._failures.limit, limit=True)

    def _announce(self, number: int, evaluation: Evaluation) -> None:
        self._recorder.evaluated(number, evaluation)
        self._announcer.evaluated(number, evaluation)
