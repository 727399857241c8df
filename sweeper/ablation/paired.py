"""Tests of paired differences, correction over a family, and the power they have.

The sign-flip test permutes the labels within each pair: under the null every sign pattern of the
differences is equally likely, so it is exact for any noise that both arms share. All 2ⁿ patterns
are visited for n ≤ 16, random ones beyond (p = (b+1)/(m+1), Phipson and Smyth 2010).

Its finest two-sided p is 2^(1−n): with 5 seeds nothing can be below 0.0625, and Holm's first step
multiplies that by the size of the family. `suitable_test` therefore falls back to Student's paired
t where the sign-flip test could never reject; it looks at n and the family only, never at the data.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from sweeper.ablation.numerics import average_ranks, bisect

Array = npt.NDArray[np.float64]
Alternative = Literal["two-sided", "less", "greater"]
TestName = Literal["sign_flip", "t"]

EXACT_UP_TO = 16
MONTE_CARLO = 99_999
_BLOCK = 4_000_000


def sign_flip_test(
    differences: npt.ArrayLike, alternative: Alternative = "two-sided", *, seed: int = 0
) -> float | Array:
    """p of the paired sign-flip permutation test of mean zero, for `differences` (..., n)."""
    rows, shape = _rows(differences)
    n = rows.shape[1]
    exact = n <= EXACT_UP_TO
    signs = _half_of_all_signs(n) if exact else _random_signs(n, seed)
    observed = rows.sum(axis=1)
    # Sums that are equal in exact arithmetic must count as equal here.
    slack = 1e-12 * np.abs(rows).sum(axis=1)
    hits = np.zeros(len(rows))
    step = max(1, _BLOCK // len(signs))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        sums = rows[part] @ signs.T
        sharp = (observed[part] - slack[part])[:, None]
        blunt = (observed[part] + slack[part])[:, None]
        if alternative == "two-sided":
            bound = (np.abs(observed[part]) - slack[part])[:, None]
            hits[part] = (np.abs(sums) >= bound).sum(axis=1)
        elif alternative == "greater":
            hits[part] = (sums >= sharp).sum(axis=1)
            hits[part] += (-sums >= sharp).sum(axis=1) if exact else 0
        else:
            hits[part] = (sums <= blunt).sum(axis=1)
            hits[part] += (-sums <= blunt).sum(axis=1) if exact else 0
    patterns = len(signs) * (2 if exact and alternative != "two-sided" else 1)
    p = hits / patterns if exact else (hits + 1) / (patterns + 1)
    return _shaped(p, shape)


@lru_cache(maxsize=4)
def _half_of_all_signs(n: int) -> Array:
    """(2ⁿ⁻¹, n) with the first sign +; the other half are their negatives."""
    patterns = np.arange(2 ** (n - 1), dtype=np.int64)[:, None]
    rest = 1.0 - 2.0 * ((patterns >> np.arange(n - 1)) & 1)
    return np.hstack([np.ones((len(patterns), 1)), rest])


def _random_signs(n: int, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2, size=(MONTE_CARLO, n)).astype(np.float64) * 2.0 - 1.0


def paired_t_test(
    differences: npt.ArrayLike, alternative: Alternative = "two-sided"
) -> float | Array:
    """p of Student's paired t test, t = d̄ / (s/√n) on n−1 degrees of freedom, for (..., n).

    Differences that are all equal have no spread: p is 1 when they are 0, else 0 or 1 by side.
    """
    rows, shape = _rows(differences)
    n = rows.shape[1]
    mean, error = rows.mean(axis=1), rows.std(axis=1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((error == 0) & (mean == 0), 0.0, mean / error)
    below = special.stdtr(n - 1, t)
    if alternative == "two-sided":
        p = 2 * special.stdtr(n - 1, -np.abs(t))
    else:
        p = below if alternative == "less" else special.stdtr(n - 1, -t)
    return _shaped(p, shape)


def suitable_test(n: int, family: int = 1, level: float = 0.05, *, sides: int = 2) -> TestName:
    """The sign-flip test where its finest p, `sides`/2ⁿ, survives Holm's first step; else t."""
    return "sign_flip" if sides * family * 2.0**-n <= level else "t"


def paired_test(
    differences: npt.ArrayLike, test: TestName, alternative: Alternative = "two-sided"
) -> float | Array:
    """p of the named test."""
    function = sign_flip_test if test == "sign_flip" else paired_t_test
    return function(differences, alternative)


def signed_ranks(differences: npt.ArrayLike) -> Array:
    """Ranks of |d| with the signs of d, (n,); ±inf may stand for a failure, ties share a rank.

    Zeros are left out of the ranking (Wilcoxon) and stay 0. `sign_flip_test` of the result is the
    exact Wilcoxon signed-rank test, ties included.
    """
    d = np.asarray(differences, dtype=np.float64)
    ranks = np.zeros_like(d)
    moved = d != 0
    ranks[moved] = average_ranks(np.abs(d[moved]))
    return np.sign(d) * ranks


def holm(p_values: npt.ArrayLike) -> Array:
    """Holm's step-down adjustment, (m,): p₍ᵢ₎ · (m−i+1), made monotone and at most 1.

    The chance of one false rejection or more among the family is at most the level, whatever the
    dependence. NaN is no test: it stays NaN and does not count in m.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def power(effect: float, n: int, level: float = 0.05) -> float:
    """Chance that a two-sided paired t test at `level` finds a mean of `effect` deviations.

    `effect` is in standard deviations of the differences. t is noncentral with δ = √n · effect, so
    with s² ~ χ²(m)/m, m = n−1:  P(|t| > c) = E[Φ(δ − c s) + Φ(−δ − c s)], by quadrature over s
    (scipy's noncentral t is NaN for large δ).
    """
    m = n - 1
    critical = float(special.stdtrit(m, 1 - level / 2))
    shift = effect * np.sqrt(n)
    nodes, weights = _quadrature()
    farthest = np.sqrt(special.chdtri(m, 1e-13) / m)
    s = (nodes + 1) * farthest / 2
    # Density of s: 2 m s · χ²-density(m s²).
    log_density = (m / 2) * np.log(m / 2) - special.gammaln(m / 2) + np.log(2.0)
    log_density = log_density + (m - 1) * np.log(s) - m * s**2 / 2
    mass = weights * farthest / 2 * np.exp(log_density)
    powers = special.ndtr(shift - critical * s) + special.ndtr(-shift - critical * s)
    return float(np.clip(mass @ powers, 0.0, 1.0))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Array, Array]:
    """Nodes and weights on [−1, 1]; computing them takes longer than using them."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return np.asarray(nodes), np.asarray(weights)


def detectable_effect(n: int, wanted: float = 0.8, level: float = 0.05) -> float:
    """The smallest effect, in deviations of the differences, found with probability `wanted`."""
    above = 1.0
    while power(above, n, level) < wanted:
        above *= 2.0
    return float(bisect(lambda x: np.array(power(float(x), n, level) - wanted), 0.0, above))


def _rows(differences: npt.ArrayLike) -> tuple[Array, tuple[int, ...]]:
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim == 0 or d.shape[-1] < 2:
        raise ValueError("a paired test needs at least two differences")
    if not np.isfinite(d).all():
        raise ValueError("differences must be finite; rank them first where failures count")
    return d.reshape(-1, d.shape[-1]), d.shape[:-1]


def _shaped(p: Array, shape: tuple[int, ...]) -> float | Array:
    return p.reshape(shape) if shape else float(p[0])
