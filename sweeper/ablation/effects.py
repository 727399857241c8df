"""Sizes of effects: standardised difference, interquartile mean, probability of improvement.

The interquartile mean and the probability of improvement follow rliable (arXiv:2108.13264). Both
take failures: +inf where smaller is better (−inf where larger is) is the worst value there is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from sweeper.ablation.intervals import Interval
from sweeper.ablation.numerics import bisect

Array = npt.NDArray[np.float64]
Goal = Literal["minimize", "maximize"]

_ROUNDING = 1e-10
"""Deviation, as a share of the mean, that is rounding and nothing else."""


def hedges_paired(differences: npt.ArrayLike) -> float | Array:
    """Hedges-corrected paired d, J · d̄/s, for (..., n): deviations *of the differences*.

    J = Γ(m/2) / (√(m/2) Γ((m−1)/2)) with m = n−1 makes it unbiased under normal noise (Hedges
    1981); it needs n ≥ 3. Differences without spread, but for rounding, give 0 or ±inf.
    """
    d = np.asarray(differences, dtype=np.float64)
    n = d.shape[-1]
    if n < 3:
        raise ValueError("Hedges' correction needs at least three differences")
    mean, deviation = d.mean(axis=-1), d.std(axis=-1, ddof=1)
    # The differences of values that differ by 0.1 each are 0.1 to ten digits or so, not exactly.
    deviation = np.where(deviation <= _ROUNDING * np.abs(mean), 0.0, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean / deviation
    size = hedges_factor(n - 1) * np.where(np.isnan(ratio), 0.0, ratio)
    return float(size) if size.ndim == 0 else size


def hedges_factor(freedom: int) -> float:
    """J(m), 0.798 at m = 4 and 0.914 at m = 9."""
    logs = special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)
    return float(np.exp(logs) / np.sqrt(freedom / 2))


def interquartile_mean(values: npt.ArrayLike) -> float:
    """Mean of what is left when ⌊n/4⌋ values are cut from either end (rliable's IQM).

    Fewer than a quarter of failures (±inf) are cut away; more make the result infinite.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def interquartile_mean_interval(values: npt.ArrayLike, *, level: float = 0.95) -> Interval:
    """Tukey and McLaughlin's interval: studentised by the winsorised deviation.

    With g cut from either end and h = n − 2g left: x̄_t ± t(h−1) √(SSD_w / (h (h−1))). rliable
    gives a percentile bootstrap here, which covers too little at n = 5 (docs/statistics.md). Needs
    h ≥ 2 and a finite interquartile mean.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    cut = len(ordered) // 4
    left = len(ordered) - 2 * cut
    if left < 2:
        raise ValueError("an interval of the interquartile mean needs at least two values")
    middle = ordered[cut : len(ordered) - cut]
    if not np.isfinite(middle).all():
        raise ValueError("a quarter of the values or more are failures")
    winsorised = np.clip(ordered, middle[0], middle[-1])
    deviation = np.sqrt(((winsorised - winsorised.mean()) ** 2).sum() / (left * (left - 1)))
    half = float(special.stdtrit(left - 1, (1 + level) / 2) * deviation)
    mean = float(middle.mean())
    return Interval(mean - half, mean + half, "trimmed t")


def probability_of_improvement(
    values: npt.ArrayLike, reference: npt.ArrayLike, goal: Goal = "minimize"
) -> float:
    """P(a run of `values` is better than a run of `reference`), ties counted half.

    Over all n·m pairs of runs, as rliable does: U / (n m) with Mann and Whitney's U.
    """
    x = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    y = np.asarray(reference, dtype=np.float64).reshape(1, -1)
    if not x.size or not y.size:
        raise ValueError("no runs to compare")
    better = x < y if goal == "minimize" else x > y
    return float((better + 0.5 * (x == y)).mean())


def improvement_interval(
    probability: npt.ArrayLike, n: npt.ArrayLike, m: npt.ArrayLike, *, level: float = 0.95
) -> tuple[Array, Array]:
    """Newcombe's (2006) score interval, method 5, for probabilities of improvement.

    The θ that solve |θ̂ − θ| = z √(V(θ)/(n m)), V = θ(1−θ)(1 + (N−1)((1−θ)/(2−θ) + θ/(1+θ))) with
    N = (n+m)/2. Unlike a bootstrap it does not shrink to a point when every pair agrees.
    """
    share, n, m = (np.asarray(x, dtype=np.float64) for x in (probability, n, m))
    z = float(special.ndtri((1 + level) / 2))

    def excess(theta: Array) -> Array:
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + ((n + m) / 2 - 1) * spread) / (n * m)
        return np.asarray((share - theta) ** 2 - z**2 * variance)

    # Where every pair agrees, θ = 0 or 1 solves it trivially; the end that is wanted lies inside.
    inside = 1e-9
    low = bisect(excess, np.zeros_like(share), np.minimum(share, 1.0 - inside))
    high = bisect(excess, np.ones_like(share), np.maximum(share, inside))
    return np.where(share > 0, low, 0.0), np.where(share < 1, high, 1.0)
