"""What the driver does with trials, without a word about Ray.

    next_work    hand a trial to a free worker (`hand_out`)
    started      a worker has it
    heard        a worker reports: write it down, then let the trial go on or end it
    died         a worker is gone: the trial goes on elsewhere, as `retries` has it

Every change goes to the ledger first, then to MLflow's outbox, then to the listeners. Each can be
cut off from the next by a kill; the next run makes it good from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sweeper.causes import OUT_OF_MEMORY, WORKER_DIED
from sweeper.errors import SweeperError
from sweeper.home import SweepFolder
from sweeper.protocols import Protocol
from sweeper.scheduling.announcer import Announcer
from sweeper.scheduling.attempts import machine_of
from sweeper.scheduling.endings import conclude
from sweeper.scheduling.events import Listener
from sweeper.scheduling.failure_counts import FailureCounts
from sweeper.scheduling.hand_out import HandOut
from sweeper.scheduling.machines import check_machine
from sweeper.scheduling.messages import REHEARSAL, Changed, Failure, Report, Work
from sweeper.scheduling.recorder import Recorder
from sweeper.scheduling.rehearsal import Rehearsal
from sweeper.scheduling.retries import Retries, in_words
from sweeper.search.ledger import Ledger
from sweeper.search.stopping_rule import TakeOver
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial, trial_name

_STARVED = "node running low on memory"
"""What a cluster's memory monitor says of a worker that it killed."""

Halt = Literal["", "no_new", "at_evaluation"]
"""How the sweep is coming to its end: not; when the running trials end; when they next report."""


Pause = Literal["interrupted", "retrying"]
"""Why a trial that will go on stands still: the sweep ends here, or it is handed out again."""


class NothingWorks(SweeperError):  # noqa: N818 - what happened
    """Trial after trial fails for a reason that is not its own."""


class Conductor:
    """Drives the trials of one sweep. One thread only."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        ledger: Ledger,
        recorder: Recorder,
        listener: Listener,
        machines: Callable[[], int] = lambda: 1,
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
        self._retries = Retries(machines)
        measured = any(trial.evaluations for trial in ledger.trials())
        self._rehearsal = Rehearsal(sweep, folder, opening=not measured)
        self._check_failures()

    @property
    def finished(self) -> bool:
        """No trial is at work and none will be handed out."""
        at_work = self._trials.active or self._rehearsal.active
        return not at_work and (bool(self.halt) or self._trials.over)

    @property
    def complete(self) -> bool:
        """Everything that the sweep asks for has been done."""
        return not self._trials.active and self._trials.over

    def next_work(self) -> Work | None:
        """A trial for a free worker; None while there is none to hand out."""
        if self.halt or self.paused:
            return None
        if self._rehearsal.opening:
            self._announcer.enter("rehearsing", "data, extractor, one step of the base")
            return self._rehearsal.next_work()
        work = None
        if len(self._trials.active) < self.sweep.limits.parallel:
            work = self._rehearsal.next_work()
        return work or self._trials.next_work(self._retries.rests, int(self._rehearsal.active))

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
        if number == REHEARSAL:
            self._rehearsed(report)
            return True
        if number not in self._trials.active:
            return True  # it was ended meanwhile
        if self._ledger.ended_by_others(number):
            self._give_up(number)
            return True
        self.reports += 1
        for note in report.notes:
            self._ledger.noted(number, note)
            self._announcer.noted(f"trial {trial_name(number)}: {note}")
        if report.changed is not None:
            self._changed(number, report.changed)
            return True
        if report.failure is not None:
            self._failed_in_training(number, report.failure)
            return True
        if report.evaluations:
            self._failures.evaluated()
            self._trials.saved(number)
        before = self._ledger.measuring.protocol
        # One write: an evaluation that is in the ledger has its verdict there too.
        with self._ledger.together():
            fresh = [
                evaluation
                for evaluation in report.evaluations
                if self._ledger.report(number, evaluation)
            ]
            ended, taken = conclude(self.sweep, self._ledger, number, report)
        self._note_protocol(number, before)
        for evaluation in fresh:
            self._recorder.evaluated(number, evaluation)
            self._announcer.evaluated(number, evaluation)
        if ended is not None:
            self._ended(ended)
            return True
        if taken is not None:
            self._take_over(number, taken)
            return True
        if self.halt == "at_evaluation":
            self._interrupt(number)
            return True
        return False

    def died(self, number: int, reason: str) -> None:
        """The worker of a trial is gone, and with it what the trial had not saved."""
        if number == REHEARSAL:
            self._rehearsal.died(reason)
            return
        if number in self._trials.active and self._ledger.ended_by_others(number):
            self._give_up(number)
        running, machine = number in self._trials.running, machine_of(self._folder.trial(number))
        trial = self._trials.take_back(number)
        if trial is None:
            return
        if not running:
            self._failures.false_start(reason)
            self._trials.first_again(trial)
            return
        step, deaths = self._ledger.died(number, machine)
        symptom = OUT_OF_MEMORY if _STARVED in reason else WORKER_DIED
        verdict = self._retries.died(number, step, deaths)
        if verdict == "give up":
            self._fail(number, Failure(symptom, in_words(step, deaths, reason)))
            return
        self._rehearsal.due |= verdict == "rehearse"
        self._retry(number, symptom, reason)

    def lost_all(self, reason: str) -> None:
        """Every worker is gone at once."""
        if self._rehearsal.active:
            self._rehearsal.died(reason)
        for number in list(self._trials.active):
            self.died(number, reason)

    def interrupt_all(self) -> None:
        """Interrupt what still runs; it goes on when the sweep is run again."""
        self._rehearsal.interrupt()
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

    def _changed(self, number: int, changed: Changed) -> None:
        """What the trial is measured by, or its checkpoint was made of, is not what it was: that
        stops the sweep, unless it was accepted or is what the sweep had; then the trial begins
        anew."""
        self._ledger.measuring.demand(number, changed.protocol)
        self._ledger.begin_anew(number)
        self._trials.take_back(number)
        self._stands_still(number, "retrying", None, f"begins anew: {changed.reason}")
        self._trials.begin_anew(self._ledger.trial(number))

    def _note_protocol(self, number: int, before: Protocol) -> None:
        """Tell that another protocol than `before` holds from this trial's evaluation on."""
        now = self._ledger.measuring.protocol
        if before and now is not before:
            self._trials.protocol_changed()
            self._announcer.protocol_changed(number, before, now)

    def _take_over(self, number: int, taken: TakeOver) -> None:
        """The trial goes on from another one's checkpoint, as soon as a worker is free."""
        self._trials.take_back(number)
        reason = f"goes on from trial {taken.donor:05d} as it was at step {taken.donor_step}"
        self._retry(number, None, reason)

    def _retry(self, number: int, symptom: str | None, reason: str) -> None:
        self._stands_still(number, "retrying", symptom, reason)
        self._trials.first_again(self._ledger.trial(number))

    def _stands_still(self, number: int, how: Pause, *why: str | None) -> None:
        self._recorder.trial_paused(number, how)
        self._announcer.stands_still(number, how, *why)  # by which symptom, and the reason

    # Ending a trial

    def _ended(self, trial: Trial) -> None:
        self._trials.take_back(trial.number)
        self._recorder.trial_ended(trial)
        if trial.role == "replicate":
            self._trials.replicates.ended(trial)
        self._announcer.ended(trial)
        if trial.state == "failed":
            self._failures.failed()
            self._check_failures()

    def _fail(self, number: int, failure: Failure) -> None:
        self._ledger.fail(number, failure.symptom, failure.reason, failure.log)
        self._ended(self._ledger.trial(number))

    def _rehearsed(self, report: Report) -> None:
        if report.failure is not None:
            check_machine(report.failure, self._folder.path)
        if self._rehearsal.opening:
            self._announcer.enter("searching")
        self._rehearsal.heard(report)
        self._retries.rehearsed()

    def _failed_in_training(self, number: int, failure: Failure) -> None:
        check_machine(failure, self._folder.path)
        useless = self._failures.raised(failure)
        self._fail(number, failure)
        if useless and not self.halt:  # limits.failed may have said so already
            raise NothingWorks(useless)

    def _interrupt(self, number: int) -> None:
        self._trials.take_back(number)
        self._stands_still(number, "interrupted")

    def _give_up(self, number: int) -> None:
        """Another program has ended the trial in the study: another one takes its place."""
        self._trials.replace(number)
        self._stands_still(number, "interrupted", None, "ended by another program")

    def _check_failures(self) -> None:
        if self._failures.limit:
            self.too_many_failed = True
            self.stop("at_evaluation", self._failures.limit, limit=True)
