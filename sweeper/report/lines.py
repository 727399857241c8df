"""The objective over training steps as numbers: what the figure draws, and the live chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweeper.standings import Standings
from sweeper.trial import Trial

MANY = 300
"""Above this many trials, single lines say nothing any more: bands are drawn instead."""
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles between which the bands are drawn."""

_STEPS_SHOWN = 200


@dataclass(frozen=True)
class Line:
    """One trial's values by step."""

    trial: Trial
    steps: tuple[int, ...]
    values: tuple[float, ...]


def lines_of(standings: Standings, objective: int = 0) -> list[Line]:
    """The curves of the search's trials, those that may be compared."""
    lines = []
    for trial in standings.search:
        if standings.comparable(trial):
            curve = standings.curve(trial, objective)
            if curve:
                lines.append(Line(trial, tuple(curve), tuple(curve.values())))
    return lines


def by_step(lines: Sequence[Line]) -> tuple[list[int], list[list[float]]]:
    """Values of all trials at each of the steps that most trials were measured at."""
    values_at: dict[int, list[float]] = {}
    for line in lines:
        for step, value in zip(line.steps, line.values, strict=True):
            values_at.setdefault(step, []).append(value)
    common = Counter({step: len(values) for step, values in values_at.items()})
    steps = sorted(step for step, _ in common.most_common(_STEPS_SHOWN))
    return steps, [values_at[step] for step in steps]


def quantiles(values: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """LEVELS of the values at each step, as (levels, steps)."""
    return np.array([np.quantile(at_step, LEVELS) for at_step in values]).T
