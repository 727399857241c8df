"""The cells of an ablation by their means over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.causes import to_blame
from sweeper.standings.values import OverSeeds, final, seed_of
from sweeper.trial import Trial

if TYPE_CHECKING:
    from sweeper.ablation.effects import Goal

Runs = Mapping[int, float | None]
"""Seed → value of the first objective, None where that run failed."""


@dataclass(frozen=True)
class CellStanding:
    """One cell of an ablation.

    `trial` is the run that stands for it where one is shown: its first that completed, else its
    first. `values` are those of its completed runs by objective.
    """

    cell: str
    trial: Trial
    values: tuple[tuple[float, ...], ...]
    failed: int

    @property
    def over_seeds(self) -> OverSeeds:
        """Its values of the first objective."""
        return OverSeeds(self.values[0] if self.values else (), self.failed)


def cells_of(runs: Sequence[Trial], goal: Goal) -> list[CellStanding]:
    """The cells of these runs, best mean of the first objective first (`ablation.order`)."""
    groups: dict[str, list[Trial]] = {}
    labels_of: dict[int | None, str] = {}
    for trial in runs:
        # Further seeds of a cell repeat its first run.
        label = trial.cell or labels_of.get(trial.of) or trial.name
        labels_of[trial.number] = label
        groups.setdefault(label, []).append(trial)
    labels = list(groups)
    order = by_mean([runs_by_seed(groups[label]) for label in labels], goal)
    return [_standing(labels[place], groups[labels[place]]) for place in order]


def runs_by_seed(runs: Iterable[Trial], objective: int = 0) -> dict[int, float | None]:
    """Seed → value of the runs that are over; of several with one seed the first that completed.

    A run that lost its worker, or was stopped by a scheduler, says nothing and is left out.
    """
    by_seed: dict[int, float | None] = {}
    for trial in runs:
        value = final(trial, objective)
        if value is not None or trial.state == "completed" or to_blame(trial.state, trial.cause):
            configured = seed_of(trial)
            seed = trial.number if configured is None else configured
            if by_seed.get(seed) is None:
                by_seed[seed] = value
    return by_seed


def by_mean(rows: Sequence[Runs], goal: Goal) -> list[int]:
    """Indices of these rows from the best on, failures counting as the worst value of all."""
    if not rows:
        return []
    import numpy as np  # for which no listing of searches waits

    from sweeper.ablation.order import best_first

    seeds = list(dict.fromkeys(seed for row in rows for seed in row))
    values = np.array([[_number(row.get(seed)) for seed in seeds] for row in rows]).reshape(
        len(rows), len(seeds)
    )
    failed = np.array([[seed in row and row[seed] is None for seed in seeds] for row in rows])
    return [int(row) for row in best_first(values, failed.reshape(values.shape), goal)]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _standing(label: str, runs: Sequence[Trial]) -> CellStanding:
    completed = [trial for trial in runs if final(trial) is not None]
    return CellStanding(
        cell=label,
        trial=(completed or runs)[0],
        values=tuple(zip(*(trial.objective or () for trial in completed), strict=True)),
        failed=sum(to_blame(trial.state, trial.cause) for trial in runs),
    )
