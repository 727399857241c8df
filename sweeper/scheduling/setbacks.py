"""What befalls a trial at work through its machine, and what becomes of it then.

    its worker died           `retries`: the trial goes on elsewhere, in the end it is given up
    it ran out of memory      `alone`: once more, with its device to itself, then it has failed
    its machine goes away     it has saved itself, moves, and goes on from that very step; nothing
                              begins on the machine any more (`avoided`), and no try is counted

Whatever it is, the ledger has it before anything is tried again: a kill in between loses nothing,
and adds no try.
"""

from __future__ import annotations

from dataclasses import replace

from sweeper.causes import NO_PROGRESS, OUT_OF_MEMORY, WORKER_DIED
from sweeper.home import SweepFolder
from sweeper.scheduling.announcer import Announcer
from sweeper.scheduling.attempts import LOG, place_of, silent_in
from sweeper.scheduling.avoided import Avoided
from sweeper.scheduling.failure_counts import FailureCounts
from sweeper.scheduling.failures import tail
from sweeper.scheduling.hand_out import HandOut
from sweeper.scheduling.messages import Failure
from sweeper.scheduling.moves import Moves
from sweeper.scheduling.rehearsal import Rehearsal
from sweeper.scheduling.retries import Retries, in_words
from sweeper.search.ledger import Ledger
from sweeper.trial import trial_name

_STARVED = "node running low on memory"
"""What a cluster's memory monitor says of a worker that it killed."""


class Setbacks:
    """The setbacks of one sweep's trials."""

    def __init__(
        self,
        folder: SweepFolder,
        ledger: Ledger,
        announcer: Announcer,
        trials: HandOut,
        moves: Moves,
        failures: FailureCounts,
        rehearsal: Rehearsal,
        retries: Retries,
        avoided: Avoided,
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._announcer = announcer
        self._trials = trials
        self._moves = moves
        self._failures = failures
        self._rehearsal = rehearsal
        self._retries = retries
        self._avoided = avoided

    def died(self, number: int, reason: str) -> None:
        """The worker of a trial is gone, and with it what the trial had not saved."""
        folder = self._folder.trial(number)
        running, place, hung = number in self._trials.running, place_of(folder), silent_in(folder)
        if (trial := self._trials.take_back(number)) is None:
            return
        if not running:
            self._failures.false_start(reason)
            self._trials.first_again(trial)
            return
        if self._avoided.leaves(place.node):
            self._moves.move(number, "its machine was taken away")
            return
        if _STARVED in reason and not hung:
            self.ran_out(number, Failure(OUT_OF_MEMORY, reason))
            return
        step, deaths = self._ledger.mishaps.died(number, place.machine)
        verdict = self._retries.died(number, step, deaths, hung=bool(hung))
        symptom = NO_PROGRESS if hung else WORKER_DIED
        if verdict == "give up":
            told = in_words(step, deaths, hung or reason)
            self._moves.fail(number, Failure(symptom, told, tail(folder / LOG) if hung else ""))
            return
        self._rehearsal.due |= verdict == "rehearse"
        self._moves.retry(number, symptom, hung or reason)

    def left(self, number: int, reason: str) -> None:
        """The trial has saved itself where it was, since it was to leave its machine."""
        self._avoided.leave_alone(place_of(self._folder.trial(number)).node)
        self._moves.move(number, reason)

    def notice(self, node: str, machine: str, told: str) -> None:
        """A machine, Ray's `node`, is about to be taken away."""
        if self._avoided.give_notice(node):
            self._announcer.noted(f"{machine} is about to go ({told}): its trials move")
            if self._avoided.all_leave:
                self._announcer.noted("no other machine is there: trials wait for one to join")

    def deaf(self, machine: str, told: str) -> None:
        """Nobody on the machine answers who would give notice of its end."""
        self._announcer.noted(f"no notice will be heard of the end of {machine}: {told}")

    def failed(self, number: int, failure: Failure) -> bool:
        """The training raised. False where that is no setback, but the trial's own fault."""
        if failure.symptom != OUT_OF_MEMORY:
            return False
        self.ran_out(number, failure)
        return True

    def ran_out(self, number: int, failure: Failure) -> None:
        """The trial ran out of memory."""
        place = place_of(self._folder.trial(number))
        note = f"ran out of memory ({failure.reason}): tried once more, alone on its device"
        if self._trials.alone.ran_out(number, place, note):
            self._announcer.noted(f"trial {trial_name(number)} {note}")
            self._moves.retry(number, failure.symptom, failure.reason)
            return
        alone_on = f"alone on {place.device or 'its device'}"
        told = f"out of memory again, {alone_on}: {failure.reason}"
        self._moves.fail(number, replace(failure, reason=told))
