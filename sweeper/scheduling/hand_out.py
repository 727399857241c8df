"""Which trials wait for a worker, which are with one, and what is asked for next.

Interrupted trials come first, then what the search asks, and when that is over, the replicates.
"""

from __future__ import annotations

from collections import deque

from sweeper.home import SweepFolder
from sweeper.scheduling.announcer import Announcer
from sweeper.scheduling.messages import Work, kept_checkpoint
from sweeper.scheduling.replicates import Replicates
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial


class HandOut:
    """The trials of one sweep that are not over."""

    def __init__(
        self, sweep: Sweep, folder: SweepFolder, ledger: Ledger, announcer: Announcer
    ) -> None:
        self.replicates = Replicates(sweep, ledger, announcer)
        self.active: dict[int, Trial] = {}
        """With a worker, by number."""
        self.running: set[int] = set()
        """Those of them that their workers have taken up."""
        self._sweep = sweep
        self._folder = folder
        self._ledger = ledger
        self._announcer = announcer
        self._waiting = deque(ledger.interrupted())
        self._asked = ledger.counts()["search"]
        self._exhausted = False

    @property
    def over(self) -> bool:
        """Whether there is nothing left to hand out."""
        return not self._waiting and self._search_is_over() and not self._replicate_is_due()

    def next_work(self) -> Work | None:
        """A trial for a free worker; None while there is none."""
        if len(self.active) >= self._sweep.limits.parallel:
            return None
        trial = self._waiting.popleft() if self._waiting else self._ask()
        if trial is None:
            return None
        self.active[trial.number] = trial
        return self._work(trial)

    def take_back(self, number: int) -> Trial | None:
        """The trial is with no worker any more; None where it was with none."""
        self.running.discard(number)
        return self.active.pop(number, None)

    def replace(self, number: int) -> None:
        """The trial is the sweep's no longer; one more is asked for."""
        trial = self.take_back(number)
        if trial is not None and trial.role != "replicate":
            self._asked -= 1
            self._exhausted = False

    def first_again(self, trial: Trial) -> None:
        """The trial goes on as soon as a worker is free."""
        self._waiting.appendleft(trial)

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
        trials = self._sweep.limits.trials
        return self._exhausted or (trials is not None and self._asked >= trials)

    def _replicate_is_due(self) -> bool:
        at_work = (*self.active.values(), *self._waiting)
        return all(trial.role == "replicate" for trial in at_work) and self.replicates.due()

    def _work(self, trial: Trial) -> Work:
        scheduler = self._ledger.scheduler
        donor = scheduler.donor(trial.number)
        kept = None
        if donor is not None:
            kept = str(kept_checkpoint(self._folder.trial(donor[0]), donor[1]))
        return Work(
            number=trial.number,
            folder=str(self._folder.trial(trial.number)),
            config=trial.config,
            recorded=tuple(evaluation.step for evaluation in trial.evaluations),
            take_over=kept,
            keep=scheduler.kept,
            undecided=scheduler.undecided(trial.number),
        )
