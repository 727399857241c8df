"""Small routines; the first two are here because importing scipy.stats and scipy.optimize for them
takes longer than a table of 10,000 trials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROUNDING = 1e-12
"""Size of a difference, as a share of the largest value, that is rounding and nothing else."""


def average_ranks(values: npt.ArrayLike) -> Array:
    """Ranks from 1 of (n,) values, ties sharing their mean rank; infinities are values too."""
    _, place, count = np.unique(
        np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True
    )
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place.reshape(-1)], dtype=np.float64)


def bisect(function: Callable[[Array], Array], low: npt.ArrayLike, high: npt.ArrayLike) -> Array:
    """Where each element of `function` changes sign between `low` and `high`, by halving.

    `function` maps an array of arguments to one of the same shape, and has the sign at `low` that
    it keeps up to the root. 60 halvings: 1e-18 of the distance.
    """
    left, right = np.broadcast_arrays(
        np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    )
    start = np.sign(function(left))
    for _ in range(60):
        middle = (left + right) / 2
        before = np.sign(function(middle)) == start
        left, right = np.where(before, middle, left), np.where(before, right, middle)
    return np.asarray((left + right) / 2)


def without_rounding(computed: Array, values: Array) -> Array:
    """`computed` from `values`, with 0 for what is rounding and nothing else.

    A factor that changes nothing would come out as 1e-17 on every seed, highly significant.
    """
    smallest = ROUNDING * np.abs(values).max()
    return np.where(np.abs(computed) <= smallest, 0.0, computed)
