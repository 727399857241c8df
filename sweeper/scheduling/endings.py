"""What the end of a training means for the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sweeper.causes import DIVERGENCE, ERROR, cause
from sweeper.search.attributes import finite
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Symptom, Trial


@dataclass(frozen=True)
class End:
    """How a trial is told: with its values, or with the symptom that it ended of."""

    state: Literal["completed", "pruned", "failed"]
    values: tuple[float, ...] = ()
    symptom: str = ""
    reason: str = ""


def verdict_of(sweep: Sweep, trial: Trial, stopped_by: Symptom | None) -> End:
    """The end of a training that will not go on.

    `stopped_by` is the symptom for which it ended itself, None when it reached its last step. Then
    its score is what its last evaluation measured; without a finite number there, it has none.
    """
    if stopped_by is not None:
        reason = f"{stopped_by.note} (step {stopped_by.step})"
        return End(cause(stopped_by.name).ends_as, (), stopped_by.name, reason)
    last = trial.evaluations[-1].metrics if trial.evaluations else {}
    values = [last.get(objective.metric) for objective in sweep.objective]
    final = tuple(value for value in values if value is not None and finite(value))
    if len(final) == len(values):
        return End("completed", final)
    wanted = ", ".join(objective.metric for objective in sweep.objective)
    if any(value is not None for value in values):
        return End("failed", (), DIVERGENCE, f"{wanted} is not finite at the last step")
    measured = ", ".join(sorted(last)) or "nothing"
    reason = f"the last evaluation has no {wanted}; it measured {measured}"
    return End("failed", (), ERROR, reason)
