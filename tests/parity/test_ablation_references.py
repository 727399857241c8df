"""The same numbers as scipy, statsmodels and rliable's formulae, where they compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import confint_proportions_2indep

from sweeper.ablation.design import Factor
from sweeper.ablation.designs.full_factorial import full_factorial
from sweeper.ablation.effects import (
    hedges_paired,
    interquartile_mean,
    probability_of_improvement,
)
from sweeper.ablation.factorial import factorial_effects
from sweeper.ablation.fractional import fractional_factorial
from sweeper.ablation.intervals import mean_interval
from sweeper.ablation.matrix import outcomes_from_matrix
from sweeper.ablation.paired import holm, paired_t_test, power, sign_flip_test, signed_ranks
from sweeper.ablation.search_statistics import newcombe_difference

Side = Literal["two-sided", "less", "greater"]
SIDES: tuple[Side, ...] = ("two-sided", "less", "greater")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_240_501)


@pytest.mark.parametrize("side", SIDES)
def test_paired_t_is_scipys(rng: np.random.Generator, side: Side) -> None:
    for n in (2, 5, 10, 40):
        x, y = rng.exponential(size=n), rng.exponential(size=n) + 0.5
        expected = stats.ttest_rel(x, y, alternative=side).pvalue
        assert paired_t_test(x - y, side) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_the_exact_sign_flip_test_is_scipys_permutation_test(
    rng: np.random.Generator, side: Side
) -> None:
    for n in (3, 5, 8, 10):
        # Rounded, so that sums tie.
        d = np.round(rng.normal(size=n) + 0.4, 1)
        expected = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", alternative=side, n_resamples=np.inf
        ).pvalue
        assert sign_flip_test(d, side) == pytest.approx(expected, rel=1e-12)


def test_the_monte_carlo_sign_flip_test_is_within_error_of_scipys(
    rng: np.random.Generator,
) -> None:
    d = rng.normal(size=20) + 0.5
    expected = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=99_999, rng=1
    ).pvalue
    error = np.sqrt(2 * expected * (1 - expected) / 99_999)
    assert sign_flip_test(d) == pytest.approx(expected, abs=4 * error)


def test_sign_flips_of_ranks_are_the_exact_wilcoxon_test(rng: np.random.Generator) -> None:
    for n in (5, 10):
        d = rng.normal(size=n) + 0.5
        expected = stats.wilcoxon(d, method="exact").pvalue
        assert sign_flip_test(signed_ranks(d)) == pytest.approx(expected, rel=1e-12)


def test_the_t_interval_is_scipys(rng: np.random.Generator) -> None:
    d = rng.normal(size=7)
    expected = stats.ttest_1samp(d, 0.0).confidence_interval(0.9)
    found = mean_interval(d, method="t", level=0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_percentile_and_bca_intervals_are_scipys_within_resampling_error(
    rng: np.random.Generator, method: Literal["percentile", "BCa"]
) -> None:
    d = rng.gumbel(size=10)
    expected = stats.bootstrap((d,), np.mean, n_resamples=20_000, method=method, rng=2)
    found = mean_interval(d, method=method.lower())
    # 4,999 resamples: a quantile at 2.5% is known to about 0.05 deviations of the mean.
    slack = 0.2 * d.std(ddof=1) / np.sqrt(10)
    ends = expected.confidence_interval
    assert found.low == pytest.approx(ends.low, abs=slack)
    assert found.high == pytest.approx(ends.high, abs=slack)


def test_the_studentised_interval_is_the_textbook_one(rng: np.random.Generator) -> None:
    """Written out for one sample with its own resamples (Efron and Tibshirani 1993, 12.5)."""
    d = rng.gumbel(size=10)
    n, mean, error = len(d), d.mean(), d.std(ddof=1) / np.sqrt(len(d))
    drawn = d[rng.integers(0, n, size=(40_000, n))]
    t = (drawn.mean(axis=1) - mean) / (drawn.std(axis=1, ddof=1) / np.sqrt(n))
    low, high = mean - np.quantile(t, 0.975) * error, mean - np.quantile(t, 0.025) * error
    found = mean_interval(d, method="studentised")
    assert found.low == pytest.approx(low, abs=0.25 * error)
    assert found.high == pytest.approx(high, abs=0.25 * error)


def test_holm_is_statsmodels(rng: np.random.Generator) -> None:
    for count in (1, 2, 8, 50):
        p = rng.beta(0.3, 1, size=count)
        expected = multipletests(p, method="holm")[1]
        np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


def test_power_is_statsmodels() -> None:
    for n in (5, 10, 20):
        for effect in (0.0, 0.3, 1.0):
            expected = TTestPower().power(effect, n, 0.05)
            assert power(effect, n) == pytest.approx(expected, abs=1e-6)


def test_newcombes_interval_is_statsmodels() -> None:
    for a, n, b, m in ((9, 10, 40, 90), (0, 10, 3, 90), (10, 10, 90, 90), (1, 3, 2, 5)):
        expected = confint_proportions_2indep(a, n, b, m, compare="diff", method="newcomb")
        assert newcombe_difference(a, n, b, m) == pytest.approx(expected, abs=1e-9)


def test_interquartile_mean_and_improvement_are_rliables(rng: np.random.Generator) -> None:
    """rliable: trim_mean(scores, 0.25), and U / (n·m) of mannwhitneyu(x, y, 'greater')."""
    for n, m in ((4, 4), (5, 7), (10, 10)):
        x, y = np.round(rng.normal(size=n), 1), np.round(rng.normal(size=m), 1)
        assert interquartile_mean(x) == pytest.approx(stats.trim_mean(x, 0.25), rel=1e-12)
        u = stats.mannwhitneyu(x, y, alternative="greater").statistic
        found = probability_of_improvement(x, y, "maximize")
        assert found == pytest.approx(u / (n * m), rel=1e-12)
        assert probability_of_improvement(x, y, "minimize") == pytest.approx(1 - found)


def test_hedges_correction_is_the_gamma_formula_and_its_known_approximation(
    rng: np.random.Generator,
) -> None:
    d = rng.normal(size=10) + 1
    plain = d.mean() / d.std(ddof=1)
    # J(m) ≈ 1 − 3/(4m − 1), within 0.05% at m = 9.
    assert hedges_paired(d) == pytest.approx(plain * (1 - 3 / (4 * 9 - 1)), rel=5e-4)


def _ordinary_least_squares(
    factors: list[Factor], cells: list[Mapping[str, Any]], values: np.ndarray, pairs: bool
) -> Any:
    """statsmodels' fit of ±1 columns, their products where `pairs`, and a constant a seed."""
    rows, seeds = np.nonzero(~np.isnan(values))
    signs = np.array([[1.0 if cell[f.path] else -1.0 for f in factors] for cell in cells])
    columns = [signs[:, i] for i in range(len(factors))]
    if pairs:
        columns += [
            signs[:, i] * signs[:, j]
            for i in range(len(factors))
            for j in range(i + 1, len(factors))
        ]
    x = np.hstack([np.stack(columns, axis=1)[rows], np.eye(values.shape[1])[seeds]])
    return sm.OLS(values[rows, seeds], x).fit()


def test_factorial_effects_are_least_squares_coefficients_doubled(
    rng: np.random.Generator,
) -> None:
    factors = [Factor(f"tricks.{letter}") for letter in "abcd"]
    for design in (full_factorial(factors), fractional_factorial(factors, runs=8)):
        pairs = design.kind == "full_factorial"
        values = rng.normal(size=(len(design.cells), 6))
        outcomes = outcomes_from_matrix([c.label for c in design.cells], range(6), values)
        fit = _ordinary_least_squares(factors, [c.settings for c in design.cells], values, pairs)
        found = factorial_effects(design, outcomes).effects
        count = len(found) if pairs else 4
        np.testing.assert_allclose(
            [effect.estimate for effect in found[:count]], 2 * fit.params[:count], atol=1e-12
        )


def test_with_missing_runs_estimates_intervals_and_p_are_statsmodels(
    rng: np.random.Generator,
) -> None:
    factors = [Factor(f"tricks.{letter}") for letter in "abc"]
    design = full_factorial(factors)
    values = rng.normal(size=(8, 5))
    values[2, 1] = values[6, 4] = np.nan
    outcomes = outcomes_from_matrix([c.label for c in design.cells], range(5), values)
    fit = _ordinary_least_squares(factors, [c.settings for c in design.cells], values, True)
    found = factorial_effects(design, outcomes).effects
    ends = 2 * fit.conf_int()[:6]
    np.testing.assert_allclose([e.estimate for e in found], 2 * fit.params[:6], atol=1e-12)
    np.testing.assert_allclose([e.low for e in found], ends[:, 0], atol=1e-12)
    np.testing.assert_allclose([e.high for e in found], ends[:, 1], atol=1e-12)
    np.testing.assert_allclose([e.p for e in found], fit.pvalues[:6], atol=1e-12)
