"""Which trials wait for a worker, which are with one, and what is asked for next.

Interrupted trials come first, then what the search asks, and when it asks for no more, the
replicates. A trial that rests after its worker died keeps its place among those at work: what is
asked next must not depend on a kill.

How many may be at work the sweep's limits say, and a lease may allow fewer. When it shrinks, the
latest begun make way at their next evaluation; when it grows, they go on before anything is asked.
One that is to be alone (`alone`) goes before the others, and none of them beside it before it runs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from sweeper.home import SweepFolder
from sweeper.scheduling.conducting.out_of_memory import OutOfMemory
from sweeper.scheduling.conducting.replicates import Replicates
from sweeper.scheduling.machines.devices import Devices
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.scheduling.working import attempts
from sweeper.scheduling.working.messages import Work, kept_checkpoint
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Trial

IDLE = 60.0
"""Seconds without anything to hand out, after which no worker is kept for what comes next: it keeps
its machine from whoever else could use it, or from being given back."""


class HandOut:
    """The trials of one sweep that are not over."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        ledger: Ledger,
        announcer: Announcer,
        alone: OutOfMemory,
        devices: Devices,
    ) -> None:
        self.alone = alone
        self._devices = devices
        self.replicates = Replicates(sweep, ledger, announcer)
        self.active: dict[int, Trial] = {}
        """With a worker, by number."""
        self.running: set[int] = set()
        """Those of them that their workers have taken up."""
        self.leaving: set[int] = set()
        """Over or put aside, while their workers do not know yet."""
        self._folder = folder
        self._ledger = ledger
        self._announcer = announcer
        self._waiting = deque(ledger.interrupted())
        self._asked = ledger.counts()["search"]
        self._exhausted = False
        self._limits = sweep.limits
        self._lease: int | None = None
        self._last = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to hand out."""
        return not self._waiting and self._search_is_over() and not self._replicate_is_due()

    @property
    def complete(self) -> bool:
        """Everything that the sweep asks for has been done."""
        return not self.active and self.over

    @property
    def has_asked_all(self) -> bool:
        """Whether the search asks for no more trials."""
        return self._search_is_over()

    @property
    def unfinished(self) -> list[int]:
        """The trials of the search that are not over, by number."""
        there = (*self.active.values(), *self._waiting)
        return [trial.number for trial in there if trial.role != "replicate"]

    def next_work(self, rests: Callable[[Trial], bool], others: int = 0) -> Work | None:
        """A trial for a free worker; None while there is none. `rests` says whether a trial is to
        wait, and `others` is how many workers do something else."""
        ready = [
            trial
            for trial in self._waiting
            if not (
                rests(trial)
                or trial.number in self.leaving
                or (self.alone.waits and trial.number in self.alone)
            )
        ]
        resting = len(self._waiting) - len(ready)
        if self.alone.makes_room or not self.has_room(resting + others):
            return None
        # One that is to be alone goes before the others.
        ready.sort(key=lambda trial: trial.number not in self.alone)
        # What waits may have been measured since it was handed out before.
        trial = self._ledger.trial(ready[0].number) if ready else self._ask()
        if trial is None:
            return None
        if ready:
            self._waiting.remove(ready[0])
        elif rests(trial):
            self._waiting.append(trial)
            return None
        self.active[trial.number] = trial
        self.alone.handed_out(trial.number)
        return self._work(trial)

    def lease(self, parallel: int | None) -> None:
        """So many may be at work from now on, at most as many as the limits say; None: so many."""
        self._lease = parallel

    def within(self, limits: Limits) -> None:
        """These limits hold from now on."""
        self._limits = limits
        self.goes_on()

    @property
    def _allowed(self) -> int:
        most = self._limits.parallel
        return most if self._lease is None else min(self._lease, most)

    @property
    def may_work(self) -> bool:
        """Whether any may be at work."""
        return self._allowed > 0

    @property
    def at_work(self) -> int:
        """How many workers have one, or have not left one yet."""
        return len(self.active) + len(self.leaving)

    @property
    def could(self) -> int:
        """How many could be at work if all that the sweep's limits say were allowed."""
        known = len(self.active) + len(self._waiting) + len(self.leaving)
        trials, parallel = self._limits.trials, self._limits.parallel
        if not self._search_is_over():
            known += parallel if trials is None else trials - self._asked
        elif self._replicate_is_due():
            known += self.replicates.count
        return min(parallel, known)

    def has_room(self, others: int) -> bool:
        """Whether one more may be at work, beside `others` that are none of the trials."""
        return self.at_work + others < self._allowed

    def beyond(self, others: int) -> int:
        """How many are at work that may not be, beside `others` that are none of the trials."""
        return self.at_work + others - self._allowed

    def not_idle(self) -> None:
        """Something was handed out: a trial, or what trials wait for."""
        self._last = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether nothing was handed out for a while."""
        return time.monotonic() - self._last > IDLE

    def makes_way(self, number: int, others: int) -> bool:
        """Whether the trial is to stand aside: the latest begun where fewer may be at work, those
        in the way of one that is to be alone, and those on a device that is wrong."""
        room = max(0, self._allowed - len(self.leaving) - others)
        if number in sorted(self.active)[room:]:
            return True
        if not (self.alone.makes_room or self._devices.wrong):
            return False
        place = attempts.place_of(self._folder.trial(number))
        return self.alone.is_in_the_way(number, place) or self._devices.is_wrong(place)

    def stand_aside(self, number: int) -> None:
        """The trial is at work no more, and goes on before later ones as soon as there is room."""
        trial = self.active[number]
        self.take_back(number)
        later = (place for place, one in enumerate(self._waiting) if one.number > number)
        self._waiting.insert(next(later, len(self._waiting)), trial)

    def taken_up(self, number: int) -> None:
        """A worker has taken the trial up."""
        self.running.add(number)
        self.alone.has_its_place(number)

    def take_back(self, number: int) -> Trial | None:
        """The trial is with no worker any more; None where it was with none."""
        self.running.discard(number)
        self.alone.has_its_place(number)
        trial = self.active.pop(number, None)
        if trial is not None:
            attempts.take_back(self._folder.trial(number))
        return trial

    def replace(self, number: int) -> None:
        """The trial is the sweep's no longer; one more is asked for."""
        trial = self.take_back(number)
        if trial is not None and trial.role != "replicate":
            self._asked -= 1
            self._exhausted = False

    def first_again(self, trial: Trial) -> None:
        """The trial goes on as soon as a worker is free."""
        self._waiting.appendleft(trial)

    def protocol_changed(self) -> None:
        """What is asked for does not follow any more from what was measured so far."""
        self._exhausted = False
        self.replicates.protocol_changed()

    def goes_on(self) -> None:
        """There may be more to do than there was, all of which may have been done."""
        self._exhausted = False
        self.replicates.forget()

    def withdraw(self, number: int) -> None:
        """The trial has ended by another's word, where it waits or while a worker has it: that one
        leaves it when it next reports, and nobody has its place before."""
        if number in self.active:
            self.leaving.add(number)
        self._waiting = deque(trial for trial in self._waiting if trial.number != number)

    @property
    def budget_is_spent(self) -> bool:
        """Whether the search asks for no more trials under the present limit."""
        trials = self._limits.trials
        return trials is not None and self._asked >= trials

    def _ask(self) -> Trial | None:
        if not self._search_is_over():
            self._announcer.enter("searching")
            asked = self._ledger.ask()
            for entry in self._ledger.refusals():
                self._announcer.refused(entry.number, entry.words)
            if asked is not None:
                self._asked += 1
                return asked
            self._exhausted = True
        if not self._replicate_is_due():
            return None
        self._announcer.enter("confirming")
        return self.replicates.ask()

    def _search_is_over(self) -> bool:
        return self._exhausted or self.budget_is_spent

    def _replicate_is_due(self) -> bool:
        at_work = (*self.active.values(), *self._waiting)
        searching = any(trial.role != "replicate" for trial in at_work)
        return self.replicates.due(searching=searching)

    def _work(self, trial: Trial) -> Work:
        scheduler = self._ledger.scheduler
        donor = scheduler.donor(trial.number)
        kept = None
        if donor is not None:
            kept = str(kept_checkpoint(self._folder.trial(donor[0]), donor[1]))
        return Work(
            number=trial.number,
            folder=str(self._folder.trial(trial.number)),
            room=str(attempts.hand_out(self._folder.trial(trial.number))),
            config=trial.config,
            recorded=tuple(evaluation.step for evaluation in trial.evaluations),
            take_over=kept,
            keep=None if trial.role == "replicate" else scheduler.kept,
            undecided=scheduler.undecided(trial.number),
            protocol=self._ledger.measuring.demanded,
            anew=self._ledger.begins_anew(trial.number),
            alone=trial.number in self.alone,
        )
