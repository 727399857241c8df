"""Which of several configurations is best by its mean over seeds, where some runs failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sweeper.ablation.effects import Goal

Array = npt.NDArray[np.float64]


def penalised(values: Array, failed: npt.NDArray[np.bool_], goal: Goal) -> Array:
    """(rows, seeds) `values` with the worst value that any run reached where a run failed.

    A mean stays a number, and failing never pays. Where nothing completed, failures are 0 and every
    row is alike. NaN stays where there was no run.
    """
    finite = values[~np.isnan(values)]
    if not finite.size:
        return np.where(failed, 0.0, values)
    return np.where(failed, finite.max() if goal == "minimize" else finite.min(), values)


def best_first(values: Array, failed: npt.NDArray[np.bool_], goal: Goal) -> npt.NDArray[np.int64]:
    """Rows of the (rows, seeds) matrix from the best on, by their `penalised` means.

    One lucky run is no reason to win: a row with less than half as many runs as any other stands
    behind those that have them, and one without a completed run behind all.
    """
    counted = penalised(values, failed, goal)
    ran = ~np.isnan(counted)
    runs = ran.sum(axis=1)
    means = np.where(ran, counted, 0.0).sum(axis=1) / np.maximum(runs, 1)
    completed = (~np.isnan(values)).any(axis=1)
    competes = completed & (2 * runs >= runs[completed].max(initial=0))
    cost = means if goal == "minimize" else -means
    return np.lexsort((cost, ~competes, ~completed)).astype(np.int64)
