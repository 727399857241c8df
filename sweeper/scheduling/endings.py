"""What the end of a training means for the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sweeper.scheduling.messages import Failure
from sweeper.search.attributes import finite
from sweeper.standings.ranking import apart_from_seed
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Symptom, Trial

MILD = ("mode_collapse", "past_best", "oscillation")
"""Symptoms that end a trial but leave its values meaningful: it is pruned, not failed."""


SAME_FAILURES = 3
"""Configurations that fail for the same reason, before any other was evaluated, until it is taken
for the sweep's own."""


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
        return End("pruned" if stopped_by.name in MILD else "failed", (), stopped_by.name, reason)
    last = trial.evaluations[-1].metrics if trial.evaluations else {}
    values = [last.get(objective.metric) for objective in sweep.objective]
    found = tuple(value for value in values if value is not None and finite(value))
    if len(found) == len(values):
        return End("completed", found)
    wanted = ", ".join(objective.metric for objective in sweep.objective)
    if any(value is not None for value in values):
        return End("failed", (), "divergence", f"{wanted} is not finite at the last step")
    measured = ", ".join(sorted(last)) or "nothing"
    reason = f"the last evaluation has no {wanted}; it measured {measured}"
    return End("failed", (), "error", reason)


class NothingWorks:
    """Notices that no training of a sweep gets anywhere, for one reason that is not its own.

    Weights that are not there, a package that is missing on the machines: every trial would fail by
    it, at once and one after another.
    """

    def __init__(self) -> None:
        self._works = False
        self._failed: dict[str, set[str]] = {}

    def worked(self) -> None:
        """A training was evaluated."""
        self._works = True

    def failed(self, config: Mapping[str, Any], failure: Failure) -> bool:
        """A training failed. Whether it is time to stop."""
        if self._works or failure.symptom != "error":
            return False
        alike = self._failed.setdefault(failure.reason, set())
        alike.add(apart_from_seed(config))
        return len(alike) >= SAME_FAILURES
