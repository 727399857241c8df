"""What the driver does with trials, without a word about Ray.

    next_work    hand a trial to a free worker (`hand_out`)
    started      a worker has it
    heard        a worker reports: write it down, then let the trial go on or end it
    died         a worker is gone: the trial goes on elsewhere, as `setbacks` has it

Every change goes to the ledger first, then to MLflow's outbox, then to the listeners. Each can be
cut off from the next by a kill; the next run makes it good from the ledger.
"""

from __future__ import annotations

from dataclasses import replace

from sweeper.causes import WORKER_DIED
from sweeper.errors import SweeperError
from sweeper.home import SweepFolder
from sweeper.scheduling.conducting.endings import conclude
from sweeper.scheduling.conducting.errands import Errands
from sweeper.scheduling.conducting.failure_counts import FailureCounts
from sweeper.scheduling.conducting.halting import Halting
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.conducting.keeping import Keeping
from sweeper.scheduling.conducting.limiting import Limiting
from sweeper.scheduling.conducting.meter import Meter
from sweeper.scheduling.conducting.orders import Orders
from sweeper.scheduling.conducting.out_of_memory import OutOfMemory
from sweeper.scheduling.conducting.rehearsal import Rehearsal
from sweeper.scheduling.conducting.setbacks import Setbacks
from sweeper.scheduling.conducting.sharing import Sharing
from sweeper.scheduling.conducting.steering import Order, Pulse
from sweeper.scheduling.conducting.transitions import Transitions
from sweeper.scheduling.conducting.withdrawing import Withdrawing
from sweeper.scheduling.machines.avoided import Nodes
from sweeper.scheduling.machines.devices import Devices
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.scheduling.recording.events import Listener
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.machine_checks import check_machine
from sweeper.scheduling.working.messages import Failure, Report, Work
from sweeper.scheduling.working.silence import Intervals
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits


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
        nodes: Nodes = lambda: {"": ""},
        sharing: Sharing | None = None,
    ) -> None:
        self.sweep = sweep
        self.reports = 0
        self._ledger = ledger
        self._recorder = recorder
        self._announcer = Announcer(sweep, listener)
        self.halting = Halting(self._announcer)
        self._intervals = Intervals(ledger.trials())
        self.alone = OutOfMemory(ledger, sweep.resources, lambda: self._intervals.longest)
        self._devices = Devices(ledger.mishaps, shared=sweep.resources.mps)
        self._trials = HandOut(sweep, folder, ledger, self._announcer, self.alone, self._devices)
        self._sharing = sharing or Sharing(sweep, folder)
        self.meter = Meter(ledger)
        self._failures = FailureCounts(sweep.limits, ledger.counts()["fail"])
        self.keeping = Keeping(sweep.keep, folder, ledger, recorder, self._trials)
        self._transitions = Transitions(
            *(ledger, recorder, self._announcer, self._trials, self._failures, self.keeping),
            self._sharing,
        )
        self._orders = Orders(folder, ledger, self._trials, self._transitions)
        measured = any(trial.evaluations for trial in ledger.trials())
        rehearsal = Rehearsal(sweep, folder, opening=not measured)
        self.setbacks = Setbacks(
            *(folder, ledger, self._announcer, self._trials, self._transitions),
            *(self._failures, rehearsal, self._devices, nodes),
        )
        self._errands = Errands(
            *(rehearsal, self._sharing, self.setbacks.retries),
            *(self._failures, self._announcer),
        )
        self.withdrawing = Withdrawing(self.halting, self._trials, self._errands, self.setbacks)
        self._limiting = Limiting(
            *(sweep, folder, ledger, self.halting),
            *(self._announcer, self._trials, self._failures, self.meter),
        )
        self._limiting.check()
        self.keeping.begin()

    @property
    def finished(self) -> bool:
        """No trial is at work and none will be handed out."""
        at_work = self._trials.active or self._errands.active
        return not at_work and (bool(self.halting.halt) or self._trials.over)

    @property
    def complete(self) -> bool:
        """Everything that the sweep asks for has been done."""
        return self._trials.complete

    def next_work(self) -> Work | None:
        """A trial for a free worker; None while there is none to hand out."""
        self._limiting.check()
        if self.is_full or self.setbacks.nowhere:
            return None
        work = self._errands.next_work()
        if work is None and not (self._errands.first or self._sharing.crowds(self._trials.active)):
            work = self._trials.next_work(self._errands.rests, self._errands.active)
            work = work or self._errands.next_work()  # for a trial whose shape nobody knows
        if work is None:
            return None
        allowed = self._intervals.allowed(self._limiting.limits)
        patience, given = None if self._errands.opening else allowed, self._sharing.given(work)
        return self.withdrawing.placed(replace(work, patience=patience, given=given))

    @property
    def is_full(self) -> bool:
        """Whether no worker is needed beside those that have a trial."""
        return self.halting.stands or not self._trials.has_room(self._errands.active)

    def keeps_no_worker(self, waits: bool) -> bool:
        """Whether one without a trial may hold what another is to have, or none `waits` for it."""
        needed = waits or not (self.is_full or self._trials.idle)
        return self.alone.makes_room or self._devices.recent or not needed

    @property
    def stands_by(self) -> bool:
        """Nothing is at work, nor may be until further notice."""
        at_work = self._trials.at_work or self._errands.active
        return not at_work and (self.halting.paused or not self.may_work)

    @property
    def may_work(self) -> bool:
        """Whether the lease allows anything to be at work."""
        return self._trials.may_work

    @property
    def pulse(self) -> Pulse:
        """What there is to say of the driver this instant."""
        used = self.meter.used
        return Pulse(
            tuple(sorted(self._trials.running)),
            self._transitions.over,
            used.gpu_seconds,
            used.cpu_seconds,
            self._announcer.phase,
            self._trials.could,
        )

    def lease(self, parallel: int | None) -> None:
        """From now on so many trials may be at work, if the file allows as many; None: as many as
        it says. Those that are more stop at their next evaluation, and go on when they may."""
        self._trials.lease(parallel)

    def within(self, limits: Limits | None) -> None:
        """From now on these limits hold; None: those that held so far."""
        if limits is not None:
            self._count()
            self._limiting.within(limits)

    def obey(self, order: Order) -> str:
        """Do what somebody asks for a trial. What has come of it, in a sentence."""
        self._count()
        return self._orders.obey(order)

    def look(self) -> None:
        """Count the time that has passed, and see whether a limit has been reached. To be called
        often while there may be trials at work."""
        self._count()
        self._limiting.check()

    def _count(self) -> None:
        held = self._sharing.held(self._trials.running | self._trials.leaving)
        self.meter.look(held, idle=self.stands_by)

    # What workers say

    def started(self, number: int) -> None:
        """A worker has taken the trial up."""
        if number < 0:
            self._errands.started(number)
        trial = self._trials.active.get(number)
        if trial is None:
            return  # it was ended meanwhile
        if self._ledger.ended_by_others(number):
            self._transitions.give_up(number)
            return
        self._count()
        self._intervals.begun(number)
        self._transitions.start(trial)

    def heard(self, number: int, report: Report) -> bool:
        """Take a worker's report. True if the trial must stop there."""
        if number < 0:
            self._errands.heard(number, report)
            return True
        if number in self._trials.leaving or number not in self._trials.active:
            self._count()
            self._trials.leaving.discard(number)
            return True  # it was ended meanwhile
        if self._ledger.ended_by_others(number):
            self._transitions.give_up(number)
            return True
        self.reports += 1
        self._intervals.heard(number)
        self._count()
        self._transitions.note(number, report.notes)
        if report.changed is not None:
            self._ledger.measuring.demand(number, report.changed.protocol)
            self._transitions.begin_anew(number, report.changed.reason)
            return True
        if report.failure is not None:
            self._failed_in_training(number, report.failure)
            return True
        if report.left:
            self.setbacks.left(number, report.left)
            return True
        if report.evaluations:
            self._failures.evaluated()
            self.setbacks.evaluated(number)
        before = self._ledger.measuring.protocol
        # One write: an evaluation that is in the ledger has its verdict there too.
        with self._ledger.together():
            fresh = [
                evaluation
                for evaluation in report.evaluations
                if self._ledger.report(number, evaluation)
            ]
            ended, taken = conclude(self.sweep, self._ledger, number, report)
            self.meter.keep()
        self._sharing.took(number, report.taken, over=ended is not None)
        self._transitions.measured(number, before)
        for evaluation in fresh:
            self._recorder.evaluated(number, evaluation)
            self._announcer.evaluated(number, evaluation)
        if ended is not None:
            self._transitions.end(ended)
        self.keeping.look()
        if ended is not None:
            return True
        if taken is not None:
            self._transitions.take_over(number, taken)
            return True
        if self.halting.halt == "at_evaluation":
            self._transitions.interrupt(number)
            return True
        if self._trials.makes_way(number, self._errands.active):
            self._transitions.stand_aside(number)
            return True
        return False

    def died(self, number: int, reason: str, cause: str = WORKER_DIED) -> None:
        """The worker of a trial is gone, and with it what the trial had not saved."""
        if number < 0:
            self._errands.died(number, reason)
            return
        if number in self._trials.active and self._ledger.ended_by_others(number):
            self._transitions.give_up(number)
        self._count()
        self._trials.leaving.discard(number)
        self._end_where_useless(self.setbacks.died(number, reason, cause))

    def lost_all(self, reason: str) -> None:
        """Every worker is gone at once."""
        self._errands.lost(reason)
        for number in (*self._trials.active, *self._trials.leaving):
            self.died(number, reason)

    def interrupt_all(self) -> None:
        """Interrupt what still runs; it goes on when the sweep is run again."""
        self._count()
        self._errands.interrupt()
        for number in tuple(self._trials.active):
            self._transitions.interrupt(number)

    def _failed_in_training(self, number: int, failure: Failure) -> None:
        check_machine(failure)
        final = self.setbacks.failed(number, failure)
        if final is None:
            return  # it is tried again
        useless = self._failures.raised(final)
        self._transitions.fail(number, final)
        self._limiting.check()
        self._end_where_useless(useless)

    def _end_where_useless(self, useless: str) -> None:
        if useless and not self.halting.halt:  # limits.failed may have said so already
            raise NothingWorks(useless)
