"""Synthetic studies with planted effects: what is claimed must be so, within binomial error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweeper.ablation.comparison import best_set, compare
from sweeper.ablation.effects import (
    hedges_paired,
    improvement_interval,
    interquartile_mean,
    interquartile_mean_interval,
    probability_of_improvement,
)
from sweeper.ablation.intervals import METHODS, Interval, default_method, mean_interval
from sweeper.ablation.matrix import outcomes_from_matrix
from sweeper.ablation.paired import (
    detectable_effect,
    holm,
    paired_t_test,
    paired_test,
    power,
    sign_flip_test,
    suitable_test,
)

Array = npt.NDArray[np.float64]
STUDIES = 2_000

NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "gumbel": lambda rng, shape: rng.gumbel(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
}


def coverage(ends: Interval, truth: float) -> float:
    return float(np.mean((np.asarray(ends.low) <= truth) & (np.asarray(ends.high) >= truth)))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("n", [5, 6, 10])
def test_default_intervals_cover_a_planted_effect_in_93_5_to_96_5_percent(
    noise: str, n: int
) -> None:
    rng = np.random.default_rng(7)
    planted = -3.0
    seeds = rng.normal(size=(STUDIES, n))
    draw = NOISES[noise]
    differences = (planted + seeds + draw(rng, (STUDIES, n))) - (seeds + draw(rng, (STUDIES, n)))
    ends = mean_interval(differences)
    assert 0.935 <= coverage(ends, planted) <= 0.965


def test_percentile_and_bca_bootstraps_fall_short_at_five_and_ten_seeds() -> None:
    rng = np.random.default_rng(8)
    for n, most in ((5, 0.89), (10, 0.945)):
        d = rng.normal(size=(400, n))
        for method in ("percentile", "bca"):
            ends = mean_interval(d, method=method)
            # Truly 0.83 and 0.90; three standard errors of 400 studies above that.
            assert coverage(ends, 0.0) < most


def test_the_studentised_bootstrap_covers_where_it_is_offered() -> None:
    rng = np.random.default_rng(9)
    for n in (5, 10):
        d = rng.normal(size=(500, n))
        ends = mean_interval(d, method="studentised")
        # 500 studies: three standard errors around 0.95 are ±0.029.
        assert abs(coverage(ends, 0.0) - 0.95) < 0.029
    for n in (2, 3):
        with pytest.raises(ValueError, match="needs 4 paired differences"):
            mean_interval(rng.normal(size=n), method="studentised")


@given(
    d=st.lists(st.floats(-100, 100), min_size=5, max_size=9),
    shift=st.floats(-50, 50),
    scale=st.floats(0.01, 100),
)
@settings(max_examples=60, deadline=None)
def test_intervals_move_with_the_data_and_hold_its_mean(
    d: list[float], shift: float, scale: float
) -> None:
    for method in ("t", "sign_flip"):
        plain = mean_interval(d, method=method)
        moved = mean_interval([scale * x + shift for x in d], method=method)
        slack = 1e-9 * (1 + abs(shift) + scale * (1 + max(map(abs, d))))
        assert moved.low == pytest.approx(scale * plain.low + shift, abs=slack)
        assert moved.high == pytest.approx(scale * plain.high + shift, abs=slack)
        assert plain.low - slack <= np.mean(d) <= plain.high + slack


def test_the_sign_flip_interval_and_test_agree_on_what_is_significant() -> None:
    rng = np.random.default_rng(10)
    d = rng.normal(size=(3_000, 10)) + 0.75
    ends, p = mean_interval(d, method="sign_flip"), np.asarray(sign_flip_test(d))
    outside = (np.asarray(ends.low) > 0) | (np.asarray(ends.high) < 0)
    # They can differ by one step of 2/2¹⁰ only, where an end is interpolated.
    clear = np.abs(p - 0.05) > 3 / 1024
    assert (outside == (p <= 0.05))[clear].all()


def test_defaults_depend_on_the_number_of_seeds_alone() -> None:
    assert [default_method(n) for n in (2, 4, 5, 10, 16, 17)] == [
        "t", "t", "sign_flip", "sign_flip", "sign_flip", "t",
    ]  # fmt: skip
    assert default_method(6, level=0.99) == "t"
    # Eight comparisons: 2/2⁸ · 8 > 0.05, 2/2⁹ · 8 ≤ 0.05.
    assert suitable_test(8, family=8) == "t"
    assert suitable_test(9, family=8) == "sign_flip"


@pytest.mark.parametrize("method", METHODS)
def test_intervals_refuse_a_single_difference_and_failures(method: str) -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([1.0], method=method)
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, np.inf, 2.0, 1.0, 3.0], method=method)


def test_the_finest_p_of_five_seeds_is_a_sixteenth() -> None:
    assert sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 32)
    assert sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0], "greater") == pytest.approx(1 / 32)
    assert sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0], "less") == pytest.approx(1.0)
    assert sign_flip_test([0.0] * 5) == 1.0
    assert paired_t_test([0.0] * 5) == 1.0


def test_random_sign_flips_beyond_sixteen_seeds_stay_near_the_t_test() -> None:
    rng = np.random.default_rng(11)
    d = rng.normal(size=(4, 24)) + 0.4
    # 99,999 patterns: the standard error of p is at most 0.0016; the rest is t's own approximation.
    np.testing.assert_allclose(sign_flip_test(d), paired_t_test(d), atol=0.02)


@pytest.mark.parametrize("noise", ["normal", "exponential"])
@pytest.mark.parametrize("n", [5, 10])
def test_family_wise_error_stays_under_five_percent(noise: str, n: int) -> None:
    """Eight cells that do nothing, all compared with one reference."""
    rng = np.random.default_rng(12)
    values = NOISES[noise](rng, (5_000, 9, n)) + rng.normal(size=(5_000, 1, n))
    p = np.asarray(paired_test(values[:, 1:] - values[:, :1], suitable_test(n, family=8)))
    wrong = np.array([holm(family).min() <= 0.05 for family in p])
    # Bonferroni's bound is 5%; sharing a reference leaves 2 to 4.5%, seen here to ±0.3%.
    assert wrong.mean() < 0.05


def test_a_comparison_tests_and_corrects_every_cell_but_the_reference() -> None:
    rng = np.random.default_rng(19)
    values = rng.normal(size=(4, 10))
    found = compare(outcomes_from_matrix("abcd", range(10), values), "c")
    differences = values - values[2]
    for row in (0, 1, 3):
        assert found.p[row] == sign_flip_test(differences[row])
        assert found.difference[row] == pytest.approx(differences[row].mean())
    np.testing.assert_array_equal(found.p_holm[[0, 1, 3]], holm(found.p[[0, 1, 3]]))
    assert np.isnan(found.p[2])
    assert found.family == 3


def test_a_planted_effect_of_one_deviation_is_found_at_ten_seeds_as_theory_says() -> None:
    rng = np.random.default_rng(13)
    d = rng.normal(size=(4_000, 10)) + 1.0
    theory = power(1.0, 10)
    assert theory == pytest.approx(0.803, abs=0.001)
    # 4,000 studies: three standard errors are 0.019; the sign-flip test may lose one point more.
    assert abs((np.asarray(paired_t_test(d)) <= 0.05).mean() - theory) < 0.019
    assert abs((np.asarray(sign_flip_test(d)) <= 0.05).mean() - theory) < 0.029
    assert power(detectable_effect(10), 10) == pytest.approx(0.8)


@settings(deadline=None)
@given(
    p=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=12),
)
def test_holm_never_lowers_a_p_keeps_the_order_and_skips_what_was_not_tested(
    p: list[float],
) -> None:
    adjusted = holm(p)
    given_p = np.array(p)
    tested = ~np.isnan(given_p)
    assert (np.isnan(adjusted) == ~tested).all()
    assert (adjusted[tested] >= given_p[tested]).all()
    assert (adjusted[tested] <= 1).all()
    order = np.argsort(given_p[tested])
    assert (np.diff(adjusted[tested][order]) >= 0).all()


def test_the_truly_best_cell_is_among_those_marked() -> None:
    rng = np.random.default_rng(14)
    cells = [f"cell {index}" for index in range(9)]
    studies, held = 500, 0
    for _ in range(studies):
        values = rng.exponential(size=(9, 10)) + rng.normal(size=10)
        held += bool(best_set(outcomes_from_matrix(cells, range(10), values)).members[0])
    # All cells alike is the hardest case; 0.92 is 0.95 less three standard errors.
    assert held / studies > 0.92


def test_a_cell_far_behind_is_told_from_the_best_in_either_direction() -> None:
    rng = np.random.default_rng(15)
    values = rng.normal(size=(3, 10))
    values[2] += 20
    for goal, sign in (("minimize", 1.0), ("maximize", -1.0)):
        found = best_set(outcomes_from_matrix("abc", range(10), sign * values, goal))  # type: ignore[arg-type]
        assert found.best in (0, 1)
        assert not found.members[2]
        assert found.tested.all()


def test_failures_are_counted_and_rank_worst_beside_the_survivors() -> None:
    """Cell b is better where it survives and fails on 4 of 10 seeds."""
    rng = np.random.default_rng(16)
    values = np.stack([10 + rng.normal(size=10), 9 + rng.normal(size=10)])
    failed = np.zeros((2, 10), dtype=bool)
    failed[1, :4] = True
    outcomes = outcomes_from_matrix("ab", range(10), values, failed=failed, symptom="mode_collapse")
    assert outcomes.symptoms == ({}, {"mode_collapse": 4})
    found = compare(outcomes, "a")
    assert found.pairs[1] == 6
    assert found.difference[1] == pytest.approx((values[1, 4:] - values[0, 4:]).mean())
    runs = np.where(failed[1], np.inf, values[1])
    assert found.improvement[1] == probability_of_improvement(runs, values[0])
    whole = compare(outcomes_from_matrix("ab", range(10), values), "a")
    assert found.improvement[1] < whole.improvement[1]
    assert found.p_worst[1] > whole.p_worst[1]
    # The survivors look better, but the mean that chooses the best counts the failures.
    assert outcomes.penalised()[1].mean() > np.nanmean(outcomes.values[1])


def test_two_failures_on_one_seed_are_a_tie() -> None:
    failed = np.zeros((2, 6), dtype=bool)
    failed[:, 0] = True
    values = np.array([[0.0, 1, 2, 3, 4, 5], [0.0, 2, 3, 4, 5, 6]])
    found = compare(outcomes_from_matrix("ab", range(6), values, failed=failed), "a")
    # Five pairs of one sign remain: 2/2⁵.
    assert found.p_worst[1] == pytest.approx(2 / 32)


def test_differences_without_spread_are_reported_without_an_effect_size() -> None:
    outcomes = outcomes_from_matrix("ab", range(6), np.stack([np.arange(6.0), np.arange(6.0)]))
    found = compare(outcomes, "a")
    assert found.p[1] == 1.0
    assert found.difference[1] == found.low[1] == found.high[1] == 0.0


def test_hedges_correction_removes_the_bias_of_small_n() -> None:
    rng = np.random.default_rng(17)
    sizes = np.asarray(hedges_paired(rng.normal(size=(40_000, 5)) + 0.8))
    # The standard error of the mean of 40,000 is 0.003.
    assert sizes.mean() == pytest.approx(0.8, abs=0.012)


def test_the_interquartile_mean_drops_fewer_than_a_quarter_of_failures() -> None:
    runs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, np.inf]
    assert interquartile_mean(runs) == pytest.approx(4.5)
    assert interquartile_mean([*runs[:5], np.inf, np.inf, np.inf]) == np.inf
    with pytest.raises(ValueError, match="failures"):
        interquartile_mean_interval([*runs[:5], np.inf, np.inf, np.inf])


def test_the_interval_of_improvement_covers_and_never_shrinks_to_a_point() -> None:
    assert improvement_interval(1.0, 5, 5)[0] < 0.75
    assert improvement_interval(0.0, 5, 5)[1] > 0.25
    rng = np.random.default_rng(18)
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    x, y = rng.normal(size=(500, 8)) - 1, rng.normal(size=(500, 8))
    seen = [probability_of_improvement(*pair) for pair in zip(x, y, strict=True)]
    low, high = improvement_interval(seen, 8, 8)
    # 500 studies: three standard errors are 0.029.
    assert abs(((low <= truth) & (high >= truth)).mean() - 0.95) < 0.029


@pytest.mark.parametrize(
    "differences", [[0, 0, 0, 0, 1.0], [0.1] * 7, [0, 0, 0, 2, 2, 2.0], [0.0] * 5]
)
def test_tied_differences_leave_every_interval_within_reach_of_the_data(
    differences: list[float],
) -> None:
    reach = 10 * max(map(abs, differences))
    for method in METHODS:
        ends = mean_interval(differences, method=method)
        assert -reach <= ends.low <= np.mean(differences) + 1e-12
        assert np.mean(differences) - 1e-12 <= ends.high <= reach


def test_differences_equal_but_for_rounding_have_no_standardised_size() -> None:
    values = np.array([[10.1, 20.1, 12.1, 7.1], [10.0, 20.0, 12.0, 7.0]])
    assert (values[0] - values[1]).std() > 0
    assert np.isinf(hedges_paired(values[0] - values[1]))
    found = compare(outcomes_from_matrix(["a", "b"], range(4), values), "b")
    assert np.isnan(found.effect).all()


def test_a_cell_whose_runs_all_failed_is_not_among_those_that_may_be_the_best() -> None:
    values = np.array([[1.0, 9.0, 2.0, 8.0], [2.0, 8.0, 1.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    failed = np.array([[False] * 4, [False] * 4, [True] * 4])
    found = best_set(outcomes_from_matrix(["a", "b", "c"], range(4), values, failed=failed))
    assert found.members.tolist() == [True, True, False]
