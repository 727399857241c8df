"""Every cell against a reference, and the cells that may be the best.

Survivors first: paired differences over the seeds that both cells completed, with an interval, a
test and Holm's correction over the family of all comparisons. Beside it the analysis in which a
failure is the worst outcome there is: the signed-rank test and the probability of improvement over
all runs, neither of which needs a failure to have a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweeper.ablation.effects import (
    hedges_paired,
    improvement_interval,
    probability_of_improvement,
)
from sweeper.ablation.intervals import LEAST_STUDENTISED, mean_interval
from sweeper.ablation.matrix import Outcomes
from sweeper.ablation.order import best_first
from sweeper.ablation.paired import holm, paired_test, sign_flip_test, signed_ranks, suitable_test

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Comparisons:
    """One entry a cell of the study; NaN (or "") for the reference and where nothing is known.

    `difference` is cell minus reference, in the objective's unit, whichever way is better.
    """

    reference: int
    family: int
    """How many tests the corrected p-values are corrected for."""
    pairs: npt.NDArray[np.int64]
    difference: Array
    low: Array
    high: Array
    interval: tuple[str, ...]
    """Which interval (a key of `intervals.METHODS`)."""
    p: Array
    p_holm: Array
    test: tuple[str, ...]
    """Which test: "sign_flip" or "t"."""
    effect: Array
    """Hedges-corrected paired d."""
    p_worst: Array
    """Signed-rank p with failures ranked worst, over the seeds on which both cells ended."""
    p_worst_holm: Array
    improvement: Array
    """P(a run of the cell is better than one of the reference), failures worst."""
    improvement_low: Array
    improvement_high: Array


@dataclass(frozen=True, eq=False)
class BestSet:
    """The best cell, and those that no test tells from it."""

    best: int
    members: Flags
    """Holds the truly best cell with probability of at least `level` (see `best_set`)."""
    tested: Flags
    level: float


def compare(
    outcomes: Outcomes, reference: str, *, level: float = 0.95, interval: str = "auto"
) -> Comparisons:
    """Compare every cell with `reference`.

    `interval` is a method of `intervals.mean_interval`.

    Raises:
        KeyError: there is no such cell.
        ValueError: the study is not paired.
    """
    if not outcomes.paired:
        raise ValueError("the cells of this study share no seeds")
    base = outcomes.index(reference)
    cells = len(outcomes.cells)
    others = np.arange(cells) != base
    both = outcomes.completed & outcomes.completed[base]
    pairs = np.where(others, both.sum(axis=1), 0)
    family = int((pairs >= 2).sum())
    numbers = {
        name: np.full(cells, np.nan) for name in ("difference", "low", "high", "p", "effect")
    }
    methods, tests = [""] * cells, [""] * cells
    for members, seeds in _same_seeds(both, others & (pairs >= 1)):
        d = outcomes.values[np.ix_(members, seeds)] - outcomes.values[base, seeds]
        numbers["difference"][members] = d.mean(axis=1)
        if len(seeds) < 2:
            continue
        chosen = suitable_test(len(seeds), family)
        too_few = interval == "studentised" and len(seeds) < LEAST_STUDENTISED <= pairs.max()
        if not too_few:  # else the others' intervals stand, and these have none
            ends = mean_interval(d, level=level, method=interval)
            numbers["low"][members], numbers["high"][members] = ends.low, ends.high
        numbers["p"][members] = paired_test(d, chosen)
        size = hedges_paired(d) if len(seeds) > 2 else np.nan
        # Differences without any spread have no standardised size.
        numbers["effect"][members] = np.where(np.isfinite(size), size, np.nan)
        for member in members:
            methods[member], tests[member] = "" if too_few else ends.method, chosen
    worst = _worst_p(outcomes, base, others)
    return Comparisons(
        reference=base,
        family=family,
        pairs=pairs,
        interval=tuple(methods),
        test=tuple(tests),
        p_holm=holm(numbers["p"]),
        p_worst=worst,
        p_worst_holm=holm(worst),
        **numbers,
        **_improvement(outcomes, base, others, level),
    )


def best_set(outcomes: Outcomes, *, best: int | None = None, level: float = 0.95) -> BestSet:
    """The best cell and the cells that may be: a confidence set for the truly best one.

    A cell is left out when a one-sided paired test says that the best-looking cell is better, at
    level (1 − `level`)/(k − 1). The truly best cell, compared with any of the k − 1 others, is so
    rejected with probability of at most that much, hence with at most 1 − `level` by any of them;
    that the opponent was picked by the data costs nothing. A failure counts as the worst value of
    the study (`Outcomes.penalised`). `best` is the row of the best-looking cell, by default that
    with the best mean (`sweeper.ablation.order`).

    Raises:
        ValueError: no cell has a value.
    """
    if not outcomes.completed.any():
        raise ValueError("no run has completed")
    if best is None:
        best = int(best_first(outcomes.values, outcomes.failed, outcomes.goal)[0])
    values = outcomes.penalised()
    finite = ~np.isnan(values)
    sign = 1.0 if outcomes.goal == "minimize" else -1.0
    usable = outcomes.completed.any(axis=1)
    members, tested = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    members[best] = tested[best] = True
    both = finite & finite[best]
    candidates = (
        usable & (both.sum(axis=1) >= 2) & (np.arange(len(values)) != best) & outcomes.paired
    )
    family = int(candidates.sum())
    for rows, seeds in _same_seeds(both, candidates):
        worse = sign * (values[np.ix_(rows, seeds)] - values[best, seeds])
        test = suitable_test(len(seeds), family, 1 - level, sides=1)
        p = np.asarray(paired_test(worse, test, "greater"))
        tested[rows] = True
        members[rows] = p * family > 1 - level
    return BestSet(best, members, tested, level)


def _worst_p(outcomes: Outcomes, base: int, others: Flags) -> Array:
    """Exact signed-rank p for each cell, failures worst; ties between two failures are 0."""
    values = outcomes.worst_for_failures()
    ended = ~np.isnan(values)
    p = np.full(len(values), np.nan)
    for members, seeds in _same_seeds(ended & ended[base], others):
        if len(seeds) < 2:
            continue
        x, y = values[np.ix_(members, seeds)], values[base, seeds]
        with np.errstate(invalid="ignore"):
            d = np.where(x == y, 0.0, x - y)
        p[members] = sign_flip_test(np.array([signed_ranks(row) for row in d]))
    return p


def _improvement(outcomes: Outcomes, base: int, others: Flags, level: float) -> dict[str, Array]:
    values = outcomes.worst_for_failures()
    ended = ~np.isnan(values)
    counts = ended.sum(axis=1)
    rows = np.flatnonzero(others & (counts > 0) & (counts[base] > 0))
    improvements = np.full((3, len(values)), np.nan)
    if len(rows):
        reference = values[base, ended[base]]
        improvements[0, rows] = [
            probability_of_improvement(values[cell, ended[cell]], reference, outcomes.goal)
            for cell in rows
        ]
        improvements[1:, rows] = improvement_interval(
            improvements[0, rows], counts[rows], counts[base], level=level
        )
    return dict(
        zip(("improvement", "improvement_low", "improvement_high"), improvements, strict=True)
    )


def _same_seeds(
    pairs: Flags, members: Flags
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(cells, seeds) blocks of cells that are paired on the same seeds, to be computed at once."""
    rows = np.flatnonzero(members)
    if not len(rows):
        return
    patterns, which = np.unique(pairs[rows], axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        yield rows[which.reshape(-1) == index], np.flatnonzero(pattern)
