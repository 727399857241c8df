"""What lists and the queue know of a sweep that runs: its best so far, what is left, its pace."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import fmean

from sweeper.scheduling.recording.events import (
    Event,
    LimitsChanged,
    PhaseChanged,
    ProtocolChanged,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.standings import Standings, standings_of
from sweeper.standings.forecast import forecast_of
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial
from sweeper.wording import number, spread

LATELY = 50
"""Gaps between evaluations by which the pace is known: the last ones."""

SHARE = 0.02
"""Of a driver's time at most, to work out who leads."""


class Summary:
    """Listens to a sweep, and has `note` write what is new."""

    def __init__(self, sweep: Sweep, note: Callable[..., None]) -> None:
        self._sweep = sweep
        self._note = note
        self._trials: dict[int, Trial] = {}
        self._planned: int | None = None
        self._protocol: dict[str, str] = {}
        self._gaps: deque[float] = deque(maxlen=LATELY)
        self._last: dict[int, float] = {}
        self._due = 0.0

    def __call__(self, event: Event) -> None:
        """Take in what has happened."""
        match event:
            case SweepStarted():
                self._trials = {trial.number: trial for trial in event.trials}
                self._protocol = dict(event.protocol)
                self._planned = event.budget or None
                self._note(budget=self._planned)
                self.write()
            case PhaseChanged(phase="finishing"):
                # All its workers have gone: others may have its lease.
                self._note(phase="finishing", wants=0, at_work=0, machines={})
            case LimitsChanged():
                self._sweep, self._planned = event.sweep, event.budget or None
                self._note(budget=self._planned)
                self.write()
            case ProtocolChanged():
                self._protocol = dict(event.protocol)
            case TrialStarted():
                self._last[event.number] = event.time
            case TrialEvaluated():
                self._protocol = self._protocol or dict(event.evaluation.protocol)
                if event.number in self._last:
                    self._gaps.append(event.evaluation.time - self._last[event.number])
                self._last[event.number] = event.evaluation.time
            case TrialEnded(trial=Trial() as trial):
                self._last.pop(trial.number, None)
                self._trials[trial.number] = trial
                if time.monotonic() >= self._due:
                    self.write()
            case TrialEnded():
                self._last.pop(event.number, None)

    def write(self) -> None:
        """Have it written as it is now."""
        began = time.monotonic()
        standings = standings_of(
            self._sweep, self._trials.values(), self._planned, self._protocol or None
        )
        pace = {"interval": fmean(self._gaps)} if self._gaps else {}
        forecast = forecast_of(standings)
        told = {**forecast.as_dict(), "words": forecast.in_words(), **pace}
        self._note(best=best_of(standings), forecast=told)
        self._due = time.monotonic() + (time.monotonic() - began) / SHARE


def best_of(standings: Standings) -> dict[str, object]:
    """The winner so far: metric, value, trial, whether fresh seeds confirmed it, and in words; of
    an ablation its best cell."""
    best, metric = standings.best, standings.metrics[0]
    if best is None or best.value is None:
        return {}
    confirmed = False
    words = f"{metric} {number(best.value)} by trial {best.trial.name}"
    if standings.sweep.is_ablation:
        seeds, cell = standings.cells[0].over_seeds, standings.cells[0].cell
        words = f"{metric} {spread(best.value, seeds.deviation)} ({seeds.count}), {cell}"
    elif best.confirmed is not None and best.confirmed.mean is not None:
        confirmed = True
        words = f"{metric} {number(best.value)} on fresh seeds by trial {best.trial.name}"
    return {
        "metric": metric,
        "value": best.value,
        "trial": best.trial.number,
        "confirmed": confirmed,
        "words": words,
    }
