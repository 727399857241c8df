"""What a search tells beside its winner."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.ablation.search_statistics import expected_best, last_half, noise_share, toggle_shares


@given(
    values=st.lists(st.floats(-100, 100), min_size=1, max_size=5),
    goal=st.sampled_from(["minimize", "maximize"]),
)
@settings(max_examples=40, deadline=None)
def test_expected_best_is_the_mean_over_every_way_to_draw(values: list[float], goal: str) -> None:
    pick = min if goal == "minimize" else max
    n = len(values)
    found = expected_best(values, goal)  # type: ignore[arg-type]
    unbiased = expected_best(values, goal, unbiased=True)  # type: ignore[arg-type]
    for k in range(1, n + 1):
        draws = [pick(draw) for draw in itertools.product(values, repeat=k)]
        assert found.expected[k - 1] == pytest.approx(np.mean(draws), abs=1e-6)
        assert found.deviation[k - 1] == pytest.approx(np.std(draws), abs=1e-4)
        subsets = [pick(draw) for draw in itertools.combinations(values, k)]
        assert unbiased.expected[k - 1] == pytest.approx(np.mean(subsets), abs=1e-6)


def test_more_trials_never_make_the_expected_best_worse() -> None:
    values = np.random.default_rng(0).lognormal(size=3_000)
    found = expected_best(list(values))
    assert len(found.trials) <= 512
    assert found.trials[-1] == 3_000
    assert (np.diff(found.expected) <= 1e-12).all()


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_the_later_half_is_measured_against_every_half_and_against_the_first(goal: str) -> None:
    values = [4.0, None, 7.0, 2.0, 9.0, 5.0]
    pick, worst = (min, 9.0) if goal == "minimize" else (max, 2.0)
    filled = [worst if value is None else value for value in values]
    halves = [pick(half) for half in itertools.combinations(filled, 3)]
    found = last_half(values, goal)  # type: ignore[arg-type]
    assert (found.trials, found.half) == (6, 3)
    assert found.expected == pytest.approx(abs(np.mean(halves) - pick(filled)))
    assert found.as_it_went == abs(pick(filled[:3]) - pick(filled))
    assert found.gain == max(found.expected, found.as_it_went)


def test_failed_trials_count_as_draws_that_gain_nothing() -> None:
    clean = expected_best([3.0, 1.0, 2.0])
    failed = expected_best([3.0, 1.0, 2.0, None, float("nan")])
    assert failed.failed == 2
    assert failed.expected[0] > clean.expected[0]
    with pytest.raises(ValueError, match="no trial"):
        expected_best([None])


def test_the_toggle_that_matters_leads_what_the_best_tenth_has_in_common() -> None:
    rng = np.random.default_rng(1)
    on = {name: rng.integers(0, 2, size=400) for name in ("ema", "noise", "r1")}
    values = [
        None if rng.random() < 0.05 else float(v) for v in rng.normal(size=400) - 2.0 * on["ema"]
    ]
    toggles = {name: [bool(one) for one in states] for name, states in on.items()}
    shares = toggle_shares(toggles, values)
    assert shares[0].name == "ema"
    assert shares[0].top > 0.9
    assert shares[0].low > 0
    assert shares[0].p_holm < 0.001
    assert all(one.low <= one.difference <= one.high for one in shares)


def test_trials_in_which_a_toggle_had_no_say_are_left_out_for_it() -> None:
    toggles: dict[str, Sequence[bool | None]] = {
        "knob": [True, None, None, None, False, None],
        "gone": 6 * [None],
    }
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    shares = toggle_shares(toggles, values, share=0.2)
    assert [one.name for one in shares] == ["knob"]
    assert (shares[0].top, shares[0].rest) == (1.0, 0.0)


def test_seed_noise_is_the_planted_share_of_variance() -> None:
    rng = np.random.default_rng(2)
    # Between configurations 3, within 1: a quarter of the variance is noise.
    search = rng.normal(scale=np.sqrt(3), size=2_000) + rng.normal(size=2_000)
    groups = [rng.normal() + rng.normal(size=5) for _ in range(100)]
    found = noise_share(list(search), [list(group) for group in groups])
    assert found.low < 0.25 < found.high
    assert found.share == pytest.approx(0.25, abs=0.04)
    assert found.noise_deviation == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match="two seeds"):
        noise_share([1.0, 2.0], [[1.0]])
