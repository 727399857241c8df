"""Which replicates to run now: the race on fresh seeds, as the driver holds it.

What is due follows from the trials alone, and is worked out again after each trial that ends.
"""

from __future__ import annotations

from collections import deque

from sweeper.causes import STOPPED_BY_HAND, is_lost
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.search.ledger import Ledger
from sweeper.standings import Standings, standings_of
from sweeper.standings.confirming import base_replicates_due, race, replicates_due, rounds_of
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial


class Replicates:
    """The replicates of one sweep that are due: the base's alone while trials of the search are at
    work, since it is not known before what else is confirmed."""

    def __init__(self, sweep: Sweep, ledger: Ledger, announcer: Announcer) -> None:
        self._sweep = sweep
        self._ledger = ledger
        self._announcer = announcer
        self._due: deque[tuple[int, int]] | None = None
        self._searching = False
        self._trials: dict[int, Trial] = {}
        self._unheld: set[int] = set()
        self._given_up: set[str] = set()

    def due(self, *, searching: bool) -> bool:
        """Whether there is one to start now. To be asked when the search asks for no more trials;
        `searching` says whether any of its own are not over yet."""
        if not self._sweep.seeds.confirm_top:
            return False
        if searching is not self._searching:
            self._searching = searching
            self.forget()
        if self._due is None:
            if not self._trials:
                self._trials = {trial.number: trial for trial in self._ledger.trials()}
            protocol = self._ledger.measuring.protocol
            standings = standings_of(self._sweep, self._trials.values(), protocol=protocol)
            stopped = rounds_of(standings, lambda name: name == STOPPED_BY_HAND)
            due_now = base_replicates_due if searching else replicates_due
            self._due = deque(due_now(standings, without=self._unheld | stopped))
            if not searching:
                self._tell_given_up(standings)
        return bool(self._due)

    @property
    def count(self) -> int:
        """How many are due now, as far as that has been worked out."""
        return len(self._due or ())

    def ask(self) -> Trial:
        """The next of those that are due."""
        assert self._due, "none is due"
        asked = self._ledger.ask_replicate(*self._due.popleft())
        self._trials[asked.number] = asked
        return asked

    def ended(self, trial: Trial) -> None:
        """A trial has ended: what is needed next depends on how."""
        if not self._trials:
            return
        self._trials[trial.number] = trial
        self._due = None
        if trial.role == "replicate" and is_lost(trial.cause):
            # Held again by the next run; for now the race goes on without this round.
            self._unheld.add(trial.config["seed"])

    def forget(self) -> None:
        """Trials have been added, or are tried again: what is due is worked out from the study."""
        self._due = None
        self._trials = {}

    def protocol_changed(self) -> None:
        """What is needed next does not follow any more from what was measured so far."""
        self._due = None

    def _tell_given_up(self, standings: Standings) -> None:
        held = race(standings, without=self._unheld)
        for candidate in held.given_up if held is not None else ():
            if candidate.key not in self._given_up:
                self._given_up.add(candidate.key)
                self._announcer.given_up(candidate.key, candidate.reason)
