"""Intervals for the mean of a few paired differences.

The default is chosen by simulation (`python -m benchmarks.coverage`, docs/statistics.md), not by
taste: from 5 to 16 seeds the interval that inverts the sign-flip test, which covers 94.7–95.3% for
every noise law that both arms share, normal or skewed; Student's t with fewer or more. The plain
percentile bootstrap and BCa (Efron 1987) are here to show by how much they fall short at n = 5 and
10. The studentised bootstrap (Hall 1992, ch. 3) loses least where one arm alone is heavily skewed,
at a third more width for n = 5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

FLIP_TO = 16
"""Most differences whose 2ⁿ−1 subsets are visited."""

LEAST_STUDENTISED = 4
"""Fewest differences whose resamples differ in enough ways to be studentised."""

RESAMPLES = 4_999
_BLOCK = 4_000_000  # numbers held at once by a vectorised step
_ROUNDING = 1e-13
"""Spread, as a share of what it is the spread of, that is rounding and nothing else."""


class Interval(NamedTuple):
    """Two ends, each of the shape of the leading axes (a float where there are none)."""

    low: float | Array
    high: float | Array
    method: str


def mean_interval(
    differences: npt.ArrayLike, *, level: float = 0.95, method: str = "auto"
) -> Interval:
    """Interval for the mean of `differences` (..., n), one for each leading index.

    `method` is "auto" or a key of METHODS.

    Raises:
        ValueError: n is below 2 or too small for the method, or a number is not finite.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim == 0 or d.shape[-1] < 2:
        raise ValueError("an interval needs at least two differences")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    if not np.isfinite(d).all():
        raise ValueError("differences must be finite; failures are handled before this point")
    name = default_method(d.shape[-1], level) if method == "auto" else method
    rows = d.reshape(-1, d.shape[-1])
    low, high = METHODS[name](rows, level)
    if d.ndim == 1:
        return Interval(float(low[0]), float(high[0]), name)
    return Interval(low.reshape(d.shape[:-1]), high.reshape(d.shape[:-1]), name)


def default_method(n: int, level: float = 0.95) -> str:
    """The interval that docs/statistics.md argues for at n pairs."""
    return "sign_flip" if n <= FLIP_TO and _flip_rank(n, level) >= 0.5 else "t"


def t_interval(rows: Array, level: float) -> tuple[Array, Array]:
    """d̄ ± t(n−1) s / √n, for each row of (k, n)."""
    n = rows.shape[1]
    mean = rows.mean(axis=1)
    half = special.stdtrit(n - 1, (1.0 + level) / 2.0) * rows.std(axis=1, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


def sign_flip_interval(rows: Array, level: float) -> tuple[Array, Array]:
    """The means δ that the exact sign-flip test does not reject, from the means of subsets.

    Hartigan (1969, Using subsample values as typical values): when differences are symmetric about
    δ, the means of the 2ⁿ−1 non-empty subsets cut the line into 2ⁿ parts that hold δ equally
    often, whatever the tails; the h-th smallest and largest leave h/2ⁿ out on either side. Paired
    differences are symmetric whenever both arms share one noise law, however skewed it is.

    h = 2ⁿ α/2 is no whole number: each end is interpolated between its neighbours, linearly in
    log h, as tails fall. At n = 5, h = 0.8 lies outside the outermost of them, a single difference,
    and the line is continued.

    Raises:
        ValueError: h < ½, or n > 16.
    """
    n = rows.shape[1]
    rank = _flip_rank(n, level)
    if rank < 0.5 or n > FLIP_TO:
        raise ValueError(f"no sign-flip interval of level {level} for n={n}")
    k = max(int(rank), 1)
    share = np.log(rank / k) / np.log((k + 1) / k)
    weights = _subset_weights(n)
    low, high = np.empty(len(rows)), np.empty(len(rows))
    step = max(1, _BLOCK // len(weights))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        means = rows[part] @ weights.T
        means = np.partition(means, (k - 1, k, -k - 1, -k), axis=1)
        low[part] = means[:, k - 1] + share * (means[:, k] - means[:, k - 1])
        high[part] = means[:, -k] + share * (means[:, -k - 1] - means[:, -k])
    return low, high


def _flip_rank(n: int, level: float) -> float:
    return float(2.0**n * (1.0 - level) / 2.0)


@lru_cache(maxsize=4)
def _subset_weights(n: int) -> Array:
    """(2ⁿ−1, n): each row averages one non-empty subset."""
    subsets = np.arange(1, 2**n, dtype=np.int64)[:, None]
    members = ((subsets >> np.arange(n)) & 1).astype(np.float64)
    return np.asarray(members / members.sum(axis=1, keepdims=True))


def studentised_interval(rows: Array, level: float) -> tuple[Array, Array]:
    """Bootstrap-t: d̄ − t*(1∓α/2) s/√n, with t* = (d̄* − d̄) / (s*/√n) over resamples.

    A resample of equal values has no spread and hence no t*; only those that have one count. Of
    three differences too few are left: at the 95 % level it holds the mean in 80 % of samples, and
    of two in none.

    Raises:
        ValueError: there are fewer than four differences.
    """
    n = rows.shape[1]
    if n < LEAST_STUDENTISED:
        raise ValueError(
            f"the studentised interval needs {LEAST_STUDENTISED} paired differences, not {n}"
        )
    mean, error = rows.mean(axis=1), rows.std(axis=1, ddof=1) / np.sqrt(n)
    low, high = np.empty(len(rows)), np.empty(len(rows))
    counts = _resample_counts(n)
    counts = counts[counts.max(axis=1) < n]
    for part, shifted, sums in _resampled(rows, counts):
        squares = (shifted**2) @ counts.T / n
        variance = np.maximum(squares - sums**2, 0.0) * n / (n - 1)
        scale = (shifted**2).max(axis=1, keepdims=True)
        flat = variance <= _ROUNDING * scale
        t = sums / np.sqrt(np.where(flat, 1.0, variance / n))
        t[flat] = np.nan
        spread = error[part] > _ROUNDING * np.abs(mean[part])
        t[~spread] = 0.0  # d̄ is all there is: both ends are
        quantile = np.nanquantile if flat[spread].any() else np.quantile
        upper, lower = quantile(t, [(1 + level) / 2, (1 - level) / 2], axis=1)
        low[part] = mean[part] - upper * error[part]
        high[part] = mean[part] - lower * error[part]
    return low, high


def percentile_interval(rows: Array, level: float) -> tuple[Array, Array]:
    """The (1∓level)/2 quantiles of resampled means; 83% where 95% is asked for, at n = 5."""
    mean = rows.mean(axis=1)
    low, high = np.empty(len(rows)), np.empty(len(rows))
    for part, _, sums in _resampled(rows, _resample_counts(rows.shape[1])):
        ends = np.quantile(sums, [(1 - level) / 2, (1 + level) / 2], axis=1)
        low[part], high[part] = mean[part] + ends[0], mean[part] + ends[1]
    return low, high


def bca_interval(rows: Array, level: float) -> tuple[Array, Array]:
    """Bias-corrected and accelerated bootstrap (Efron 1987); no better than percentile at n = 5.

    z₀ = Φ⁻¹(P(d̄* < d̄)),  a = Σ(dᵢ−d̄)³ / (6 (Σ(dᵢ−d̄)²)^1.5),
    α' = Φ(z₀ + (z₀+z)/(1 − a(z₀+z))).
    """
    mean = rows.mean(axis=1)
    low, high = np.empty(len(rows)), np.empty(len(rows))
    for part, shifted, sums in _resampled(rows, _resample_counts(rows.shape[1])):
        count = sums.shape[1]
        below = ((sums < 0).sum(axis=1) + 0.5 * (sums == 0).sum(axis=1)) / count
        bias = special.ndtri(np.clip(below, 1 / count, 1 - 1 / count))
        spread = np.maximum((shifted**2).sum(axis=1) ** 1.5, np.finfo(np.float64).tiny)
        acceleration = (shifted**3).sum(axis=1) / (6 * spread)
        ordered = np.sort(sums, axis=1)
        for end, share in ((low, (1 - level) / 2), (high, (1 + level) / 2)):
            z = bias + special.ndtri(share)
            adjusted = special.ndtr(bias + z / (1 - acceleration * z))
            position = np.clip((adjusted * count).astype(np.int64), 0, count - 1)
            end[part] = mean[part] + ordered[np.arange(len(ordered)), position]
    return low, high


@lru_cache(maxsize=4)
def _resample_counts(n: int) -> Array:
    """(RESAMPLES, n): how often each point is drawn; fixed, so that a table never changes."""
    generator = np.random.default_rng(20_190_903)
    return generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def _resampled(rows: Array, counts: Array) -> list[tuple[slice, Array, Array]]:
    """Blocks of rows: (which, rows − d̄, d̄* − d̄ for every resample)."""
    n = rows.shape[1]
    step = max(1, _BLOCK // len(counts))
    blocks = []
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        shifted = rows[part] - rows[part].mean(axis=1, keepdims=True)
        blocks.append((part, shifted, shifted @ counts.T / n))
    return blocks


METHODS: dict[str, Callable[[Array, float], tuple[Array, Array]]] = {
    "t": t_interval,
    "sign_flip": sign_flip_interval,
    "studentised": studentised_interval,
    "percentile": percentile_interval,
    "bca": bca_interval,
}

METHOD_NAMES = {
    "t": "t",
    "sign_flip": "sign-flip",
    "studentised": "studentised bootstrap",
    "percentile": "percentile bootstrap",
    "bca": "BCa bootstrap",
}
