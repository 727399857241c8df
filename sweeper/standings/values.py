"""The numbers of a trial that can be reckoned with."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sweeper.trial import Trial

if TYPE_CHECKING:
    from sweeper.ablation.confirmation import GivenUp

OVERFLOWN = 1e30
"""No measure is that large: a finite number beyond it is a training that has exploded."""


def is_number(value: float | None) -> bool:
    """Whether a measured value can be reckoned with: not NaN, and nowhere near overflow."""
    return value is not None and abs(value) < OVERFLOWN  # false for NaN


def final(trial: Trial, index: int = 0) -> float | None:
    """The final value of an objective: of a completed trial, and a number; else None."""
    values = trial.objective if trial.state == "completed" else None
    if not values or index >= len(values) or not is_number(values[index]):
        return None
    return values[index]


def seed_of(trial: Trial) -> int | None:
    """The seed that a trial trained with, where its values or config say so."""
    seed = trial.values.get("seed", trial.config.get("seed"))
    return seed if isinstance(seed, int) else None


def sign(goal: str) -> int:
    """What makes the lowest the best: 1 to minimise, −1 to maximise."""
    return -1 if goal == "maximize" else 1


@dataclass(frozen=True)
class OverSeeds:
    """A configuration's values of the first objective on several seeds.

    Of a search these are the fresh seeds of its confirmation, without the value that it was chosen
    for; of a cell of an ablation all of its seeds, since nobody chose it for its luck.
    """

    values: tuple[float, ...] = ()
    failed: int = 0
    """Runs without a value through the configuration's own fault."""
    given_up: GivenUp | None = None
    """Why it got no more seeds, if it could no longer win."""

    @property
    def count(self) -> int:
        """Runs with a value."""
        return len(self.values)

    @cached_property
    def mean(self) -> float | None:
        """None while every run has failed."""
        return statistics.fmean(self.values) if self.values else None

    @cached_property
    def deviation(self) -> float | None:
        """Sample standard deviation; None for fewer than two values."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None
