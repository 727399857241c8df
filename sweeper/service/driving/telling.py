"""What happens in a sweep, as events of the service's stream.

    sweep_started    phase_changed    noted    protocol_changed    driver_ended
    trial_started    trial_evaluated  trial_ended

Whoever follows the stream sees of every trial each of its evaluations, and its end. What a driver
that was killed had not written, the next one tells first: it compares the study with the stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sweeper.scheduling.recording.events import (
    Event,
    Noted,
    PhaseChanged,
    ProtocolChanged,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.service.driving.post import Happened
from sweeper.sweepfile.model import Sweep
from sweeper.trial import OVER, Evaluation, Trial


class Told:
    """What the stream has of a sweep's trials: evaluations, known by trial and time, since a trial
    that begins anew has its steps again; and when the last end of each was told."""

    def __init__(self, events: Iterable[Happened] = ()) -> None:
        self._evaluated: set[tuple[int, float]] = set()
        self._ended: dict[int, float] = {}
        for kind, data, time in events:
            if kind == "trial_evaluated":
                self._evaluated.add((data["number"], time))
            elif kind == "trial_ended" and data["state"] in OVER:
                self._ended[data["number"]] = time

    def lacks(self, sweep: Sweep, records: Iterable[Trial]) -> Iterator[Happened]:
        """What has to be told of these trials, in the order in which it happened in each."""
        for trial in records:
            for evaluation in trial.evaluations:
                if (trial.number, evaluation.time) not in self._evaluated:
                    value = evaluation.metrics.get(sweep.objective[0].metric)
                    yield _evaluated(trial.number, value, evaluation)
            ended = trial.ended or 0.0
            if trial.over and self._ended.get(trial.number, -1.0) < ended:
                yield _ended(trial.number, trial.state, trial.cause, trial.reason, ended)


class Teller:
    """Listens to a sweep, and tells the stream."""

    def __init__(self, tell: Callable[..., None], told: Told) -> None:
        self._tell = tell
        self._told = told

    def __call__(self, event: Event) -> None:
        """Tell what has happened; and at first what was not told."""
        if isinstance(event, SweepStarted):
            missed = self._told.lacks(event.sweep, event.trials)
            self._tell(_started(event), *missed)
        elif (happened := _happened(event)) is not None:
            self._tell(happened)


def _started(event: SweepStarted) -> Happened:
    data = {"budget": event.budget, "replicates": event.replicates, "resumed": event.resumed}
    return "sweep_started", data, event.time


def _happened(event: Event) -> Happened | None:
    match event:
        case PhaseChanged(phase, message, time):
            return "phase_changed", {"phase": phase, "message": message}, time
        case Noted(message, time):
            return "noted", {"message": message}, time
        case ProtocolChanged(protocol, message, time):
            return "protocol_changed", {"protocol": dict(protocol), "message": message}, time
        case TrialStarted():
            data = {
                **{key: getattr(event, key) for key in ("number", "role", "of", "steps")},
                **{key: getattr(event, key) for key in ("resumed", "attempt")},
                "values": plain(dict(event.values)),
            }
            return "trial_started", data, event.time
        case TrialEvaluated(number, value, evaluation):
            return _evaluated(number, value, evaluation)
        case TrialEnded():
            return _ended(event.number, event.state, event.cause, event.reason, event.time)
    return None  # how the driver ended is told with its outcome


def _evaluated(number: int, value: float | None, evaluation: Evaluation) -> Happened:
    data = {
        "number": number,
        "step": evaluation.step,
        "value": plain(value),
        "metrics": plain(dict(evaluation.metrics)),
        "symptoms": [symptom.name for symptom in evaluation.symptoms],
    }
    return "trial_evaluated", data, evaluation.time


def _ended(number: int, state: str, cause: str | None, reason: str | None, time: float) -> Happened:
    data = {"number": number, "state": state, "symptom": cause, "reason": reason}
    return "trial_ended", data, time


def plain(value: Any) -> Any:
    """Without numbers that JSON has not: they are null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value
