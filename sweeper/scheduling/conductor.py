"""What the driver does with trials, without a word about Ray.

    next_work    hand a trial to a free worker: interrupted ones first, then what the search asks,
                 and when the search is over, the replicates
    started      a worker has it
    heard        a worker reports: write it down, then let the trial go on or end it
    died         a worker is gone: the trial goes on elsewhere, a few times

Every change goes to the ledger first, then to MLflow's outbox, then to whoever watches. Each can be
cut off from the next by a kill; the next run makes it good from the ledger.
"""

from __future__ import annotations

import time as clock
from collections import deque
from typing import Literal

from sweeper.ablation.blame import INNOCENT, SCHEDULER
from sweeper.errors import SweeperError
from sweeper.home import SweepFolder
from sweeper.scheduling.endings import NothingWorks, verdict_of
from sweeper.scheduling.events import (
    Ending,
    Event,
    Listener,
    Phase,
    PhaseChanged,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.scheduling.failures import DISK_FULL, NOT_SHARED, OUT_OF_MEMORY
from sweeper.scheduling.machines import NotShared
from sweeper.scheduling.messages import Failure, Report, Work, kept_checkpoint
from sweeper.scheduling.recorder import Recorder
from sweeper.search.ledger import Ledger
from sweeper.search.stopping_rule import TakeOver
from sweeper.standings import Standings, standings_of
from sweeper.standings.confirming import race, replicates_due
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, Symptom, Trial

RETRIES = 2
"""How often a trial goes on after its worker died without getting any further in between."""

FALSE_STARTS = 6
"""Workers in a row that may die before they start a trial, beside one for each of those at work,
which may all make way for new ones at once, until the cluster counts as broken."""

_STARVED = "node running low on memory"
"""What a cluster's memory monitor says of a worker that it killed."""

Halt = Literal["", "no_new", "at_evaluation"]
"""How the sweep is coming to its end: not; when the running trials end; when they next report."""


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
        self.lost = 0
        self.reports = 0
        self._folder = folder
        self._ledger = ledger
        self._recorder = recorder
        self._listener = listener
        self._queue = deque(ledger.interrupted())
        self._active: dict[int, Trial] = {}
        self._running: set[int] = set()
        self._false_starts = 0
        self._replicates: deque[tuple[int, int]] | None = None
        self._known: dict[int, Trial] = {}
        self._unheld: set[int] = set()
        self._given_up: set[str] = set()
        counts = ledger.counts()
        self._asked = counts["search"]
        self._failed = counts["fail"]
        self._exhausted = False
        self._nothing_works = NothingWorks()
        self._phase: Phase = "starting"
        self._before: Phase = "starting"
        self._check_failures()

    # Handing out

    @property
    def finished(self) -> bool:
        """No trial is at work and none will be handed out."""
        if self._active:
            return False
        return bool(self.halt) or (not self._queue and self._search_is_over() and not self._due())

    @property
    def complete(self) -> bool:
        """Everything that the sweep asks for has been done."""
        return not (self._active or self._queue or self._due()) and self._search_is_over()

    def next_work(self) -> Work | None:
        """A trial for a free worker; None while there is none to hand out."""
        if self.halt or self.paused or len(self._active) >= self.sweep.limits.parallel:
            return None
        asked = self._queue.popleft() if self._queue else self._ask()
        return None if asked is None else self._hand_out(asked)

    def _ask(self) -> Trial | None:
        if not self._search_is_over():
            self._enter("searching")
            asked = self._ledger.ask()
            if asked is not None:
                self._asked += 1
                return asked
            self._exhausted = True
        due = self._due()
        if not due:
            return None
        self._enter("confirming")
        asked = self._ledger.ask_replicate(*due.popleft())
        self._known[asked.number] = self._ledger.trial(asked.number)
        return asked

    def _hand_out(self, asked: Trial) -> Work:
        self._active[asked.number] = asked
        donor = self._ledger.donor(asked.number)
        kept = None
        if donor is not None:
            kept = str(kept_checkpoint(self._folder.trial(donor[0]), donor[1]))
        return Work(
            number=asked.number,
            folder=str(self._folder.trial(asked.number)),
            config=asked.config,
            known=tuple(one.step for one in asked.evaluations),
            take_over=kept,
            keep=self._ledger.kept,
            unjudged=self._ledger.unjudged(asked.number),
        )

    def _search_is_over(self) -> bool:
        trials = self.sweep.limits.trials
        return self._exhausted or (trials is not None and self._asked >= trials)

    def _due(self) -> deque[tuple[int, int]]:
        """(trial, seed) of the replicates to start now; anew after each that has ended."""
        if not self.sweep.seeds.confirm_top:
            return deque()
        if self._replicates is None:
            waits = (*self._active.values(), *self._queue)
            if any(one.role != "replicate" for one in waits):
                return deque()  # the search has not ended: it is not known what is confirmed
            if not self._known:
                self._known = {one.number: one for one in self._ledger.trials()}
            standings = standings_of(self.sweep, self._known.values())
            self._replicates = deque(replicates_due(standings, without=self._unheld))
            self._tell_given_up(standings)
        return self._replicates

    def _tell_given_up(self, standings: Standings) -> None:
        held = race(standings, without=self._unheld)
        for one in held.given_up if held is not None else ():
            if one.key not in self._given_up:
                self._given_up.add(one.key)
                message = f"trial {one.key} is given up: {one.reason}"
                self._tell(PhaseChanged("confirming", message, clock.time()))

    # What workers say

    def started(self, number: int) -> None:
        """A worker has taken the trial up."""
        asked = self._active[number]
        self._running.add(number)
        self._false_starts = 0
        attempt = self._ledger.started(number)
        self._recorder.trial_started(asked)
        steps = asked.config.get("steps")
        self._tell(
            TrialStarted(
                number=number,
                role=asked.role,
                of=asked.of,
                values=asked.values,
                steps=steps if isinstance(steps, int) else None,
                resumed=attempt > 1,
                attempt=attempt,
                time=clock.time(),
            )
        )

    def heard(self, number: int, report: Report) -> bool:
        """Take a worker's report. True if the trial is to stop there."""
        if number not in self._active:
            return True  # it was ended meanwhile
        self.reports += 1
        if report.failure is not None:
            self._failed_in_training(number, report.failure)
            return True
        if report.evaluations:
            self._nothing_works.worked()
        # One write: an evaluation that is in the ledger has been judged.
        with self._ledger.together():
            fresh = [one for one in report.evaluations if self._ledger.report(number, one)]
            ended, taken = self._conclude(number, report)
        for evaluation in fresh:
            self._announce(number, evaluation)
        if ended is not None:
            self._ended(number, ended)
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
        asked = self._active.pop(number, None)
        if asked is None:
            return
        if number not in self._running:
            self._false_starts += 1
            if self._false_starts >= FALSE_STARTS + self.sweep.limits.parallel:
                raise SweeperError(f"workers die before they can start a trial: {reason}")
            self._queue.appendleft(asked)
            return
        self._running.discard(number)
        deaths = self._ledger.died(number)
        symptom = OUT_OF_MEMORY if _STARVED in reason else "worker_died"
        if deaths > RETRIES:
            told = f"its worker died {deaths} times at the same place; the last time: {reason}"
            self._fail(number, Failure(symptom, told))
            return
        self._recorder.trial_paused(number, "retrying")
        self._tell_end(number, "retrying", symptom=symptom, reason=reason)
        self._queue.appendleft(self._ledger.trial(number))

    def lost_all(self, reason: str) -> None:
        """Every worker is gone at once."""
        for number in list(self._active):
            self.died(number, reason)

    def interrupt_all(self) -> None:
        """Whatever is still at work stands still and goes on when the sweep is run again."""
        for number in list(self._active):
            self._interrupt(number)

    def stop(self, how: Halt, message: str, *, limit: bool = False) -> None:
        """Hand out no more trials; those at work end as `how` says. Saying it again may hasten.

        `limit` says that a limit has been reached, which the next run would reach at once.
        """
        if self.halt == "at_evaluation" or self.halt == how:
            return
        self.halt, self.message = how, message
        self.again = f"{'raise it and ' if limit else ''}run the sweep again"
        self._enter("draining", message)

    def pause(self, paused: bool) -> None:
        """Hand out no trials until further notice, or again."""
        if paused == self.paused:
            return
        self.paused = paused
        if self.halt:
            return
        if paused:
            self._before = self._phase
            self._enter("paused", f"no new trials until `sweeper resume {self.sweep.name}`")
        else:
            self._enter("searching" if self._before == "starting" else self._before, "resumed")

    def _begin_anew(self, number: int, taken: TakeOver) -> None:
        """The trial goes on from another one's checkpoint, as soon as a worker is free."""
        self._active.pop(number)
        self._running.discard(number)
        self._recorder.trial_paused(number, "retrying")
        reason = f"goes on from trial {taken.donor:05d} as it was at step {taken.donor_step}"
        self._tell_end(number, "retrying", reason=reason)
        self._queue.appendleft(self._ledger.trial(number))

    # Ending a trial

    def _conclude(
        self, number: int, report: Report
    ) -> tuple[Trial, None] | tuple[None, TakeOver | None]:
        """Tell the study what becomes of the trial: its record if it has ended, else whose
        checkpoint it goes on from, if another's."""
        if report.finished:
            self._finish(number, report.stopped_by)
            return self._ledger.trial(number), None
        if not self._ledger.unjudged(number):
            return None, None
        reason = self._ledger.verdict(number)
        if reason is not None:
            self._ledger.prune(number, SCHEDULER, reason)
            return self._ledger.trial(number), None
        taken = self._ledger.take_over(number)
        if taken is None:
            self._ledger.judged(number)
        return None, taken

    def _finish(self, number: int, stopped_by: Symptom | None) -> None:
        end = verdict_of(self.sweep, self._ledger.trial(number), stopped_by)
        if end.state == "completed":
            self._ledger.complete(number, end.values)
        elif end.state == "pruned":
            self._ledger.prune(number, end.symptom, end.reason)
        else:
            self._ledger.fail(number, end.symptom, end.reason)

    def _ended(self, number: int, record: Trial) -> None:
        self._active.pop(number, None)
        self._running.discard(number)
        self._recorder.trial_ended(record)
        if record.symptom in INNOCENT and (record.role == "replicate" or self.sweep.is_ablation):
            self.lost += 1
        if record.role == "replicate" and self._known:
            self._known[number] = record
            self._replicates = None  # what is needed next depends on how it ended
            if record.symptom in INNOCENT:
                # Held again by the next run; for now the race goes on without this round.
                self._unheld.add(record.config["seed"])
        ending: Ending = record.state  # type: ignore[assignment]
        self._tell_end(number, ending, record.symptom, record.reason, record)
        if record.state == "failed":
            self._failed += 1
            self._check_failures()

    def _fail(self, number: int, failure: Failure) -> None:
        self._ledger.fail(number, failure.symptom, failure.reason, failure.log)
        self._ended(number, self._ledger.trial(number))

    def _failed_in_training(self, number: int, failure: Failure) -> None:
        if failure.symptom == DISK_FULL:
            raise DiskFull(
                f"no space left for trial {number:05d} in {self._folder.trial(number)}: make room, "
                "then run the sweep again; it goes on where it stands"
            )
        if failure.symptom == NOT_SHARED:
            raise NotShared(f"{failure.reason}, then run the sweep again; nothing is lost")
        useless = self._nothing_works.failed(self._active[number].config, failure)
        self._fail(number, failure)
        if useless and not self.halt:  # limits.failed may have said so already
            raise SweeperError(
                f"every trial so far failed for the same reason: {failure.reason}; mend that, "
                "then run the sweep again"
            )

    def _interrupt(self, number: int) -> None:
        self._active.pop(number, None)
        self._running.discard(number)
        self._recorder.trial_paused(number, "interrupted")
        self._tell_end(number, "interrupted")

    def _check_failures(self) -> None:
        limit = self.sweep.limits.failed
        if limit is not None and self._failed >= limit:
            self.stop(
                "at_evaluation",
                f"{self._failed} trials have failed, and limits.failed is {limit}",
                limit=True,
            )

    # Saying

    def _announce(self, number: int, evaluation: Evaluation) -> None:
        self._recorder.evaluated(number, evaluation)
        value = evaluation.metrics.get(self.sweep.objective[0].metric)
        self._tell(TrialEvaluated(number, value, evaluation))

    def _tell_end(
        self,
        number: int,
        state: Ending,
        symptom: str | None = None,
        reason: str | None = None,
        trial: Trial | None = None,
    ) -> None:
        self._tell(TrialEnded(number, state, symptom, reason, clock.time(), trial))

    def _enter(self, phase: Phase, message: str = "") -> None:
        if phase != self._phase:
            self._phase = phase
            self._tell(PhaseChanged(phase, message, clock.time()))

    def _tell(self, event: Event) -> None:
        self._listener(event)
