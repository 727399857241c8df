"""The transitions of a trial between waiting, at work and over.

Each goes to the ledger first, where it is one of the study's, then to MLflow's outbox, then to the
listeners. Each can be cut off from the next by a kill; the next run makes it good from the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sweeper.causes import STOPPED_BY_HAND
from sweeper.protocols import Protocol
from sweeper.scheduling.conducting.failure_counts import FailureCounts
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.conducting.keeping import Keeping
from sweeper.scheduling.conducting.sharing import Sharing
from sweeper.scheduling.recording.announcer import Announcer
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.messages import Failure
from sweeper.search.ledger import Ledger
from sweeper.search.stopping_rule import TakeOver
from sweeper.trial import Trial, trial_name

Pause = Literal["interrupted", "retrying", "moved"]
"""Why a trial that will go on stands still: it waits for room or for the next run, it is handed out
again at once, or it leaves a machine for another."""


class Transitions:
    """Makes the transitions of one sweep's trials; `over` counts those that have ended."""

    def __init__(
        self,
        ledger: Ledger,
        recorder: Recorder,
        announcer: Announcer,
        trials: HandOut,
        failures: FailureCounts,
        keeping: Keeping,
        sharing: Sharing,
    ) -> None:
        self.over = sum(trial.over for trial in ledger.trials())
        self._ledger = ledger
        self._recorder = recorder
        self._announcer = announcer
        self._trials = trials
        self._failures = failures
        self._keeping = keeping
        self._sharing = sharing

    def start(self, trial: Trial) -> None:
        """A worker has taken the trial up."""
        self._trials.taken_up(trial.number)
        self._failures.started()
        attempt = self._ledger.started(trial.number, self._sharing.of(trial.number))
        self._recorder.trial_started(trial)
        self._announcer.started(trial, attempt)

    def measured(self, number: int, before: Protocol) -> None:
        """Tell it where another protocol than `before` holds from the trial's evaluation on."""
        now = self._ledger.measuring.protocol
        if before and now is not before:
            self._trials.protocol_changed()
            self._announcer.protocol_changed(number, before, now)

    def note(self, number: int, notes: Sequence[str]) -> None:
        """Sentences that a reader of the trial should know."""
        for note in notes:
            self._ledger.noted(number, note)
            self._announcer.noted(f"trial {trial_name(number)}: {note}")

    def end(self, trial: Trial) -> None:
        """The ledger has the trial's end."""
        self.over += 1
        self._trials.take_back(trial.number)
        self._recorder.trial_ended(trial)
        self._keeping.ended(trial)
        self._trials.replicates.ended(trial)
        self._announcer.ended(trial)
        if trial.state == "failed":
            self._failures.failed()

    def fail(self, number: int, failure: Failure) -> None:
        """The trial comes to nothing."""
        self._sharing.failed(number, failure.cause)
        self._ledger.fail(number, failure.cause, failure.reason, failure.log)
        self.end(self._ledger.trial(number))

    def retry(self, number: int, cause: str | None, reason: str) -> None:
        """The trial goes on as soon as a worker is free."""
        self._sharing.failed(number, cause)
        self._trials.take_back(number)
        self._stands_still(number, "retrying", cause, reason)
        self._trials.first_again(self._ledger.trial(number))

    def move(self, number: int, reason: str) -> None:
        """The trial leaves its machine, and goes on as soon as a worker of another is free."""
        self._trials.take_back(number)
        self._stands_still(number, "moved", None, reason)
        self._trials.first_again(self._ledger.trial(number))

    def take_over(self, number: int, taken: TakeOver) -> None:
        """The trial goes on from another one's checkpoint, as soon as a worker is free."""
        reason = f"goes on from trial {taken.donor:05d} as it was at step {taken.donor_step}"
        self.retry(number, None, reason)

    def begin_anew(self, number: int, reason: str) -> None:
        """What was trained of it counts no more; it begins as soon as a worker is free."""
        self._ledger.begin_anew(number)
        self._trials.take_back(number)
        self._stands_still(number, "retrying", None, f"begins anew: {reason}")
        self._trials.first_again(self._ledger.trial(number))

    def stand_aside(self, number: int) -> None:
        """Fewer trials may be at work than are; this one goes on when there is room again."""
        self._trials.stand_aside(number)
        self._stands_still(number, "interrupted", None, "makes way, and goes on when it may")

    def interrupt(self, number: int) -> None:
        """The trial goes on when the sweep is run again: until then it waits, so that no sweep is
        taken for done that has it left."""
        self._trials.stand_aside(number)
        self._stands_still(number, "interrupted")

    def stop(self, number: int, reason: str) -> None:
        """Somebody wants the trial to end here."""
        self._ledger.prune(number, STOPPED_BY_HAND, reason)
        self._trials.withdraw(number)
        self.end(self._ledger.trial(number))

    def reopen(self, trial: Trial) -> None:
        """Somebody has the trial, which was over, tried again: the ledger has it running."""
        self.over -= 1
        if trial.state == "failed":
            self._failures.forgiven()
        self._recorder.reopened(trial.number)
        self._trials.goes_on()
        self._trials.first_again(self._ledger.trial(trial.number))

    def give_up(self, number: int) -> None:
        """Another program has ended the trial in the study: another one takes its place."""
        self._trials.replace(number)
        self._stands_still(number, "interrupted", None, "ended by another program")

    def _stands_still(self, number: int, how: Pause, *why: str | None) -> None:
        self._recorder.trial_paused(number, how)
        self._announcer.stands_still(number, how, *why)  # the cause, and the reason
