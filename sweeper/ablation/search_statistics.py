"""What a search tells beside its winner: best of k trials, what the best share, seed noise.

The expected best of k trials follows "Show Your Work" (Dodge et al., arXiv:1909.03004); the
unbiased form is Tang et al.'s (arXiv:2004.13705).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from sweeper.ablation.effects import Goal
from sweeper.ablation.paired import holm

Array = npt.NDArray[np.float64]

_BUDGETS = 512


@dataclass(frozen=True, eq=False)
class BestOfK:
    """Expected best value after k trials: every k up to 512, a geometric choice of them beyond."""

    trials: npt.NDArray[np.int64]
    expected: Array
    deviation: Array
    """Standard deviation of the best of k, not of the estimate."""
    failed: int
    """Trials without a value, which count as draws as bad as the worst one."""


@dataclass(frozen=True)
class LastHalf:
    """What the later half of a search gained over the earlier."""

    trials: int
    half: int
    """Trials of the earlier half."""
    expected: float
    """By how much all trials beat the expected best of `half` of them, drawn in any order."""
    as_it_went: float
    """By how much they beat the best of the first half, in the order in which they ran."""

    @property
    def gain(self) -> float:
        """The larger of the two: what more trials could still gain is not made little of."""
        return max(self.expected, self.as_it_went)


@dataclass(frozen=True)
class ToggleShare:
    """How often a toggle is on among the best trials and among the rest."""

    name: str
    top: float
    rest: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class Importance:
    """A parameter's share of all importance, with a 95% bootstrap interval over trials.

    `luck` is the share that the first of all parameters reaches where none matters: in one of 21
    searches a larger one.
    """

    share: float
    low: float
    high: float
    luck: float


TRIALS_PER_PARAMETER = 8
"""Completed trials for each searched parameter below which importances rank luck
(docs/statistics.md)."""


def too_few_to_tell(trials: int, parameters: int) -> str:
    """Why there are no importances of so many completed trials; empty where there are enough."""
    wanted = TRIALS_PER_PARAMETER * parameters
    if trials >= wanted:
        return ""
    return (
        f"too few trials to tell: {trials} completed with {parameters} searched parameters, and it "
        f"takes {TRIALS_PER_PARAMETER} for each, {wanted} in all"
    )


@dataclass(frozen=True)
class NoiseShare:
    """Share of the variance between trials that is seed noise: within ÷ total."""

    share: float
    low: float
    high: float
    noise_deviation: float
    groups: int
    replicates: int


def expected_best(
    values: Sequence[float | None], goal: Goal = "minimize", *, unbiased: bool = False
) -> BestOfK:
    """Expected best of k trials drawn from the `values` seen, None for a trial that failed.

    With replacement (the paper's): P(best ≤ v₍ᵢ₎) = (i/n)^k for the maximum; the distribution is
    plugged in. `unbiased` draws without replacement: C(i, k)/C(n, k). It describes independent
    trials (random search); for an adaptive sampler it is a description of these values only.

    Raises:
        ValueError: no trial has a value.
    """
    scored = np.array([value for value in values if value is not None], dtype=np.float64)
    scored = scored[np.isfinite(scored)]
    if not scored.size:
        raise ValueError("no trial has a value")
    failed = len(values) - len(scored)
    sign = 1.0 if goal == "maximize" else -1.0
    scores = np.sort(np.concatenate([np.full(failed, (sign * scored).min()), sign * scored]))
    n = len(scores)
    trials = np.unique(np.geomspace(1, n, _BUDGETS).round().astype(np.int64))
    trials = np.arange(1, n + 1) if n <= _BUDGETS else trials
    rank = np.arange(0, n + 1)[None, :]
    if unbiased:
        # C(i, k) / C(n, k), through logarithms; 0 where i < k.
        logs = _log_choose(rank, trials[:, None]) - _log_choose(n, trials[:, None])
        below = np.where(rank >= trials[:, None], np.exp(logs), 0.0)
    else:
        below = (rank / n) ** trials[:, None]
    weights = np.diff(below, axis=1)
    mean = weights @ scores
    square = weights @ scores**2
    return BestOfK(trials, sign * mean, np.sqrt(np.maximum(square - mean**2, 0.0)), failed)


def last_half(values: Sequence[float | None], goal: Goal = "minimize") -> LastHalf:
    """What the later half of the trials gained; `values` in the order in which they ran, None for a
    trial without one, which counts as one as bad as the worst.

    Drawn in any order, half of the trials reach the unbiased expected best of n/2 (Tang et al.,
    arXiv:2004.13705). A sampler that learns does better later, which that order hides; so the
    order in which they ran is looked at too. Gains are not negative, whichever way is better.

    Raises:
        ValueError: there are fewer than two trials, or none has a value.
    """
    half = len(values) // 2
    if not half:
        raise ValueError("needs two trials")
    drawn = expected_best(values, goal, unbiased=True)
    better = max if goal == "maximize" else min
    scored = [value for value in values if value is not None]
    best, worst = better(scored), (min if goal == "maximize" else max)(scored)
    first = better((value for value in values[:half] if value is not None), default=worst)
    expected = float(np.interp(half, drawn.trials, drawn.expected))
    return LastHalf(len(values), half, abs(best - expected), abs(best - first))


def toggle_shares(
    toggles: Mapping[str, Sequence[bool | None]],
    values: Sequence[float | None],
    goal: Goal = "minimize",
    *,
    share: float = 0.1,
    level: float = 0.95,
) -> tuple[ToggleShare, ...]:
    """Each toggle's share among the best `share` of trials against the rest, largest first.

    Newcombe's (1998) hybrid score interval of the difference, and Fisher's exact test with Holm's
    correction over the toggles. Trials without a value count among the rest; those in which a
    toggle had no say (None) are left out for that toggle. A sampler that learns repeats what worked
    before, so its trials are not independent and the intervals are too narrow by an unknown amount.
    """
    from scipy import stats  # most of a second, which whoever reads a study does not wait

    scores = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    cost = np.where(np.isfinite(scores), scores if goal == "minimize" else -scores, np.inf)
    order = np.argsort(cost, kind="stable")
    top = np.zeros(len(cost), dtype=bool)
    top[order[: max(1, round(share * len(cost)))]] = True
    top &= np.isfinite(cost)
    tables: dict[str, tuple[int, int, int, int]] = {}
    for name, given in toggles.items():
        on = np.array([state is True for state in given], dtype=bool)
        stated = np.array([state is not None for state in given], dtype=bool)
        top_count, rest_count = int((stated & top).sum()), int((stated & ~top).sum())
        if top_count and rest_count:
            tables[name] = int((on & top).sum()), top_count, int((on & ~top).sum()), rest_count
    p_values = [
        float(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue) for a, n, b, m in tables.values()
    ]
    shares = [
        ToggleShare(
            name, a / n, b / m, a / n - b / m, *newcombe_difference(a, n, b, m, level), p, float(q)
        )
        for (name, (a, n, b, m)), p, q in zip(tables.items(), p_values, holm(p_values), strict=True)
    ]
    return tuple(sorted(shares, key=lambda share: -abs(share.difference)))


def newcombe_difference(a: int, n: int, b: int, m: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a/n − b/m from Wilson's intervals (l, u) of either (Newcombe 1998, method 10).

    low = p₁ − p₂ − √((p₁−l₁)² + (u₂−p₂)²),  high = p₁ − p₂ + √((u₁−p₁)² + (p₂−l₂)²).
    """
    z = float(special.ndtri((1 + level) / 2))
    p, q = a / n, b / m
    (l1, u1), (l2, u2) = _wilson(p, n, z), _wilson(q, m, z)
    low = p - q - float(np.hypot(p - l1, u2 - q))
    high = p - q + float(np.hypot(u1 - p, q - l2))
    return max(low, -1.0), min(high, 1.0)


def noise_share(
    values: Sequence[float], replicates: Sequence[Sequence[float]], *, level: float = 0.95
) -> NoiseShare:
    """Share of the variance of `values` over the search that repeating a trial would give too.

    Within-configuration variance, pooled over the groups of `replicates` (same configuration,
    other seeds), by the variance over the search's trials; interval from the F distribution of
    their ratio, which leans on normal noise that is alike everywhere. Capped at 1.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in replicates if len(group) > 1]
    spread = np.asarray(values, dtype=np.float64)
    if not groups or len(spread) < 2:
        raise ValueError("needs two trials, and a configuration with two seeds")
    freedom = sum(len(group) - 1 for group in groups)
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / freedom
    total = float(spread.var(ddof=1))
    if total == 0.0:
        raise ValueError("all trials have the same value")
    ratio = within / total
    tail = (1 - level) / 2
    low = ratio / float(special.fdtri(freedom, len(spread) - 1, 1 - tail))
    high = ratio / float(special.fdtri(freedom, len(spread) - 1, tail))
    return NoiseShare(
        share=min(ratio, 1.0),
        low=min(low, 1.0),
        high=min(high, 1.0),
        noise_deviation=float(np.sqrt(within)),
        groups=len(groups),
        replicates=sum(len(group) for group in groups),
    )


def _log_choose(n: npt.ArrayLike, k: npt.ArrayLike) -> Array:
    top, bottom = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    # Below k the value is not used; the gamma function has poles there.
    gap = np.maximum(top - bottom, 0.0)
    return np.asarray(
        special.gammaln(top + 1) - special.gammaln(bottom + 1) - special.gammaln(gap + 1)
    )


def _wilson(share: float, n: int, z: float) -> tuple[float, float]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
