"""A sweep on a server, followed: its records, looked at again and again, are turned into the events
that a run on this machine would have told, so that one view shows both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from sweeper.cli.remote import standings_from, waits_in_words
from sweeper.client import Client
from sweeper.scheduling.recording.events import (
    Event,
    Phase,
    PhaseChanged,
    SweepEnded,
    SweepStarted,
    SweepState,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.service.api.shapes_sweeps import SweepDetail
from sweeper.service.states import ENDS
from sweeper.standings import Standings
from sweeper.standings.confirming import most_replicates
from sweeper.standings.progress import budget_of
from sweeper.trial import Trial

LOOK_EVERY = 1.0
"""Seconds between two looks."""

_WAITING = {"queued": "it waits in the queue", "starting": "its driver comes up"}
"""What is said of a sweep that has not begun, where nothing holds it up."""


@dataclass
class Follower:
    """What has been told of a sweep so far. `standings` are those of its beginning, without trials
    that came later; None before it has begun."""

    client: Client
    name: str
    standings: Standings | None = None
    _waits: str = ""
    _phase: tuple[str, str] = ("", "")
    _open: dict[int, Trial] = field(default_factory=dict)
    """Trials that are not over, as they were last seen."""
    _highest: int = -1

    def events(self) -> Iterator[Event]:
        """What happens to the sweep, from now to its end.

        Raises:
            UnknownSweep: it is deleted meanwhile.
            Unreachable: the server does not answer for a minute.
        """
        while True:
            # Asked before its trials: whatever it says of its end, they are all to be seen by then.
            sweep = self.client.sweeps.get(self.name)
            over = sweep.state in ENDS
            if self.standings is None and (over or _has_begun(sweep)):
                yield from self._begin(sweep)
            elif self.standings is None:
                yield from self._wait(sweep)
            else:
                yield from self._look()
            if self.standings is not None and not over:
                yield from self._enter(sweep)
            if over:
                yield SweepEnded(_end(sweep), sweep.message, sweep.since or time.time())
                return
            time.sleep(LOOK_EVERY)

    def _wait(self, sweep: SweepDetail) -> Iterator[Event]:
        words = waits_in_words(sweep) or _WAITING.get(sweep.state, sweep.state)
        if words != self._waits:
            self._waits = words
            yield PhaseChanged("starting", words, time.time())

    def _begin(self, sweep: SweepDetail) -> Iterator[Event]:
        records = self.client.trials.records(self.name)
        standings = self.standings = standings_from(records)
        over = tuple(trial for trial in standings.trials if trial.over)
        budget = budget_of(standings)
        yield SweepStarted(
            sweep=standings.sweep,
            folder=Path(records.head.folder),
            budget=budget or 0,
            replicates=most_replicates(standings, budget),
            resumed=sweep.driver is not None and sweep.driver.attempt > 1,
            trials=over,
            protocol=dict(standings.protocol),
            time=time.time(),
        )
        self._highest = max((trial.number for trial in over), default=-1)
        yield from self._changes(trial for trial in standings.trials if not trial.over)

    def _look(self) -> Iterator[Event]:
        found = self.client.trials.records(
            self.name, number=sorted(self._open), above=self._highest
        )
        yield from self._changes(iter(found.trials))

    def _enter(self, sweep: SweepDetail) -> Iterator[Event]:
        driver = sweep.driver
        phase = driver.phase if driver and driver.phase in get_args(Phase) else "starting"
        entered = ("paused" if sweep.state == "paused" else phase, waits_in_words(sweep))
        if entered != self._phase:
            self._phase = entered
            yield PhaseChanged(entered[0], entered[1], time.time())  # type: ignore[arg-type]

    def _changes(self, trials: Iterator[Trial]) -> Iterator[Event]:
        for trial in trials:
            self._highest = max(self._highest, trial.number)
            yield from self._change(trial, self._open.pop(trial.number, None))
            if not trial.over:
                self._open[trial.number] = trial

    def _change(self, trial: Trial, before: Trial | None) -> Iterator[Event]:
        assert self.standings is not None
        attempts = before.attempts if before else 0
        if trial.attempts > attempts:
            yield TrialStarted(
                number=trial.number,
                role=trial.role,
                of=trial.of,
                values=trial.values,
                steps=self.standings.steps_of(trial),
                resumed=trial.attempts > 1,
                attempt=trial.attempts,
                time=trial.started or time.time(),
            )
        seen = before.steps if before else 0
        for evaluation in trial.evaluations:
            if evaluation.step > seen:
                value = evaluation.metrics.get(self.standings.metrics[0])
                yield TrialEvaluated(trial.number, value, evaluation)
        if trial.over:
            when = trial.ended or time.time()
            state = trial.state
            yield TrialEnded(
                trial.number,
                state,  # type: ignore[arg-type]
                trial.cause,
                trial.reason,
                when,
                trial,
            )


def _has_begun(sweep: SweepDetail) -> bool:
    return sweep.driver is not None and sweep.driver.heartbeat is not None


def _end(sweep: SweepDetail) -> SweepState:
    states = get_args(SweepState)
    return next(state for state in states if state == sweep.state)
