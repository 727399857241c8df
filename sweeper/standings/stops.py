"""What ended trials early, and how many of their steps were saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweeper.causes import cause
from sweeper.trial import Trial


@dataclass(frozen=True)
class Stop:
    """All trials that ended early for one cause. `steps` were budgeted and not trained."""

    cause: str | None
    trials: int
    steps: int

    @property
    def saves(self) -> bool:
        """Whether training those steps would have been waste; a crash saves nothing."""
        return self.cause is not None and cause(self.cause).saves


def stops_of(trials: Sequence[Trial], planned: Callable[[Trial], int]) -> tuple[Stop, ...]:
    """Trials that ended early, by cause, the one that saved most first."""
    ended: Counter[str | None] = Counter()
    steps: Counter[str | None] = Counter()
    for trial in trials:
        if trial.state in ("pruned", "failed"):
            ended[trial.cause] += 1
            steps[trial.cause] += max(planned(trial) - trial.steps, 0)
    stops = [Stop(name, count, steps[name]) for name, count in ended.items()]
    return tuple(sorted(stops, key=lambda stop: (-stop.steps, -stop.trials, stop.cause or "")))
