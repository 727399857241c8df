"""Tells the listener of a sweep what happens in it: phases, and trials from their start to end."""

from __future__ import annotations

import time as clock

from sweeper.protocols import Protocol
from sweeper.scheduling.recording.events import (
    Ending,
    LimitsChanged,
    Listener,
    Noted,
    Phase,
    PhaseChanged,
    ProtocolChanged,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, Trial, trial_name
from sweeper.wording import changes_in_words


class Announcer:
    """Makes events of what the driver of one sweep does."""

    def __init__(self, sweep: Sweep, listener: Listener) -> None:
        self._sweep = sweep
        self._listener = listener
        self.phase: Phase = "starting"
        self._before: Phase = "starting"

    def enter(self, phase: Phase, message: str = "") -> None:
        """The sweep is in this phase from now on; told once."""
        if phase != self.phase:
            self.phase = phase
            self._listener(PhaseChanged(phase, message, clock.time()))

    def paused(self, paused: bool) -> None:
        """The sweep hands out no trials until further notice, or again."""
        if paused:
            self._before = self.phase
            self.enter("paused", f"no new trials until `sweeper resume {self._sweep.name}`")
        else:
            self.enter("searching" if self._before == "starting" else self._before, "resumed")

    def given_up(self, name: str, reason: str) -> None:
        """A configuration can no longer win the race on fresh seeds."""
        message = f"trial {name} is given up: {reason}"
        self._listener(PhaseChanged("confirming", message, clock.time()))

    def noted(self, message: str) -> None:
        """Something happened that a reader should know of."""
        self._listener(Noted(message, clock.time()))

    def protocol_changed(self, number: int, before: Protocol, now: Protocol) -> None:
        """From this trial's evaluation on the sweep is measured by another protocol."""
        message = (
            f"measured by another protocol from trial {trial_name(number)} on "
            f"({changes_in_words(before, now)}); what was measured before is compared with "
            "nothing that follows"
        )
        self._listener(ProtocolChanged(now, message, clock.time()))

    def limits_changed(self, sweep: Sweep, budget: int, message: str) -> None:
        """The sweep has other limits from now on."""
        self._listener(LimitsChanged(sweep, budget, message, clock.time()))

    def refused(self, number: int, words: str) -> None:
        """An entry that somebody has put into the study is not run."""
        self._listener(Noted(f"entry {number} of the study: {words}", clock.time()))

    def started(self, trial: Trial, attempt: int) -> None:
        """A worker has taken the trial up, the `attempt`-th time."""
        steps = trial.config.get("steps")
        self._listener(
            TrialStarted(
                number=trial.number,
                role=trial.role,
                of=trial.of,
                values=trial.values,
                steps=steps if isinstance(steps, int) else None,
                resumed=attempt > 1,
                attempt=attempt,
                time=clock.time(),
            )
        )

    def evaluated(self, number: int, evaluation: Evaluation) -> None:
        """A trial was evaluated."""
        value = evaluation.metrics.get(self._sweep.objective[0].metric)
        self._listener(TrialEvaluated(number, value, evaluation))

    def ended(self, trial: Trial) -> None:
        """The trial has its final state."""
        state: Ending = trial.state  # type: ignore[assignment]
        why = (trial.cause, trial.reason)
        self._listener(TrialEnded(trial.number, state, *why, clock.time(), trial))

    def stands_still(
        self, number: int, state: Ending, cause: str | None = None, reason: str | None = None
    ) -> None:
        """The trial is `interrupted`, `retrying` or `moved`: it goes on later under its number."""
        self._listener(TrialEnded(number, state, cause, reason, clock.time()))
