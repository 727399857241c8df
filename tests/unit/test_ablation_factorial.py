"""Factorials: planted main effects and interactions come back, under their stated aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweeper.ablation.design import Design, Factor
from sweeper.ablation.designs.full_factorial import full_factorial
from sweeper.ablation.factorial import Effects, factorial_effects, half_normal, lenth
from sweeper.ablation.fractional import fractional_factorial, plackett_burman
from sweeper.ablation.matrix import Outcomes, outcomes_from_matrix
from sweeper.ablation.preview import preview

FACTORS = [Factor(f"tricks.{letter}") for letter in "abcde"]


def simulate(
    design: Design, truth: Mapping[str, float], seeds: int, noise: float, seed: int = 0
) -> Outcomes:
    """A study whose value is the sum of planted effects: half up when on, half down when off."""
    rng = np.random.default_rng(seed)
    lift = rng.normal(size=seeds)
    rows = []
    for cell in design.possible:
        value = 20.0
        for effect, size in truth.items():
            sign = 1.0
            for name in effect.split("*"):
                sign *= 1.0 if cell.settings[f"tricks.{name}"] else -1.0
            value += sign * size / 2
        rows.append(value + lift + noise * rng.normal(size=seeds))
    return outcomes_from_matrix([cell.label for cell in design.possible], range(seeds), rows)


def by_name(effects: Effects) -> dict[str, float]:
    return {effect.name: effect.estimate for effect in effects.effects}


def test_a_full_factorial_returns_planted_main_effects_and_interactions() -> None:
    design = full_factorial(FACTORS[:4])
    truth = {"a": -3.0, "c": 1.0, "a*b": 2.0}
    found = factorial_effects(design, simulate(design, truth, seeds=6, noise=0.0))
    expected = dict.fromkeys(by_name(found), 0.0) | {"a": -3.0, "c": 1.0, "a × b": 2.0}
    assert by_name(found) == pytest.approx(expected, abs=1e-9)
    assert len(found.effects) == 4 + 6


def test_intervals_of_factorial_effects_cover_the_planted_ones() -> None:
    design = full_factorial(FACTORS[:3])
    truth = {"a": -1.0, "b": 0.5, "a*b": 0.3}
    planted = {"a": -1.0, "b": 0.5, "a × b": 0.3}
    held = total = 0
    for seed in range(300):
        outcomes = simulate(design, truth, seeds=5, noise=1.0, seed=seed)
        for effect in factorial_effects(design, outcomes).effects:
            held += effect.low <= planted.get(effect.name, 0.0) <= effect.high
            total += 1
    # 1,800 effects, six to a study and nearly independent: three standard errors are 0.016.
    assert abs(held / total - 0.95) < 0.016


def test_a_fraction_recovers_planted_main_effects_and_reports_planted_aliases() -> None:
    """In resolution III with d = a·b and e = a·c, the interaction a × b shows as d, and says so."""
    design = fractional_factorial(FACTORS, generators=["d = a*b", "e = a*c"])
    assert design.resolution == 3
    found = factorial_effects(
        design, simulate(design, {"a": 2.0, "c": -1.0, "a*b": 1.5}, seeds=5, noise=0.0)
    )
    estimates = by_name(found)
    assert estimates["a"] == pytest.approx(2.0)
    assert estimates["c"] == pytest.approx(-1.0)
    assert estimates["d"] == pytest.approx(1.5)
    stated = {effect.name: [str(alias) for alias in effect.aliases] for effect in found.effects}
    assert "a × b" in stated["d"]
    assert "a × b" not in estimates


def test_resolution_five_keeps_main_effects_and_interactions_apart() -> None:
    design = fractional_factorial(FACTORS, resolution=5)
    truth = {"a": 2.0, "e": -1.0, "a*b": 1.5, "d*e": 0.7}
    found = factorial_effects(design, simulate(design, truth, seeds=5, noise=0.0))
    expected = dict.fromkeys(by_name(found), 0.0)
    expected |= {"a": 2.0, "e": -1.0, "a × b": 1.5, "d × e": 0.7}
    assert by_name(found) == pytest.approx(expected, abs=1e-9)
    assert len(expected) == 5 + 10


def test_plackett_burman_finds_main_effects_and_shares_an_interaction_as_it_says() -> None:
    factors = [Factor(f"tricks.{letter}") for letter in "abcdefghijk"]
    design = plackett_burman(factors)
    found = factorial_effects(
        design, simulate(design, {"b": 3.0, "f": -2.0, "a*c": 0.9}, seeds=5, noise=0.0)
    )
    estimates = by_name(found)
    for factor in factors:
        name = factor.name
        leaked = sum(
            0.9 * term.coefficient for term in design.aliases[(name,)] if term.factors == ("a", "c")
        )
        planted = {"b": 3.0, "f": -2.0}.get(name, 0.0)
        assert estimates[name] == pytest.approx(planted + leaked, abs=1e-9)


def test_levels_are_compared_with_the_first_one() -> None:
    design = full_factorial([FACTORS[0], Factor("batch_size", (16, 32, 64), name="batch")])
    value = {16: 0.0, 32: -1.0, 64: 4.0}
    rows = [
        [value[c.settings["batch_size"]] + (2.0 if c.settings["tricks.a"] else 0.0)] * 3
        for c in design.cells
    ]
    outcomes = outcomes_from_matrix([cell.label for cell in design.cells], range(3), rows)
    estimates = by_name(factorial_effects(design, outcomes))
    assert estimates["batch=32"] == pytest.approx(-1.0)
    assert estimates["batch=64"] == pytest.approx(4.0)
    assert estimates["a"] == pytest.approx(2.0)
    assert estimates["a × batch=64"] == pytest.approx(0.0, abs=1e-9)


def test_missing_runs_are_fitted_around_and_counted() -> None:
    design = full_factorial(FACTORS[:3])
    whole = simulate(design, {"a": -3.0, "b*c": 1.0}, seeds=4, noise=0.0)
    failed = np.zeros(whole.values.shape, dtype=bool)
    failed[0, 0] = failed[5, 2] = True
    outcomes = outcomes_from_matrix(whole.cells, whole.seeds, whole.values, failed=failed)
    found = factorial_effects(design, outcomes)
    assert by_name(found)["a"] == pytest.approx(-3.0)
    assert by_name(found)["b × c"] == pytest.approx(1.0)
    assert found.dropped == 2
    assert {effect.method for effect in found.effects} == {"least squares"}


def test_ranked_effects_count_the_failures_that_survivors_hide() -> None:
    """Trick a halves nothing where it survives, but fails on most seeds."""
    design = full_factorial(FACTORS[:2])
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 8))
    on = [bool(cell.settings["tricks.a"]) for cell in design.cells]
    failed = np.array([[is_on and seed < 6 for seed in range(8)] for is_on in on])
    outcomes = outcomes_from_matrix(
        [cell.label for cell in design.cells], range(8), values, failed=failed
    )
    ranked = factorial_effects(design, outcomes, ranked=True)
    a = next(effect for effect in ranked.effects if effect.name == "a")
    assert a.estimate > 0.25
    assert a.p_holm < 0.05
    assert ranked.dropped == 0


def test_an_impossible_cell_takes_its_interaction_with_it_and_says_so() -> None:
    def feasible(settings: Mapping[str, Any]) -> str | None:
        both = settings["tricks.a"] and settings["tricks.b"]
        return "a conflicts with b" if both else None

    design = full_factorial(FACTORS[:3], feasible)
    found = factorial_effects(design, simulate(design, {"c": 2.0}, seeds=5, noise=0.0))
    assert found.confounded == ("a × b",)
    assert by_name(found)["c"] == pytest.approx(2.0)


def test_one_seed_gives_lenths_margins_instead_of_tests() -> None:
    design = full_factorial(FACTORS[:4])
    found = factorial_effects(design, simulate(design, {"b": 6.0}, seeds=1, noise=0.5))
    assert {effect.method for effect in found.effects} == {"lenth"}
    assert all(np.isnan(effect.p) for effect in found.effects)
    clear = [effect.name for effect in found.effects if not effect.low <= 0 <= effect.high]
    assert clear == ["b"]


def test_half_normal_points_rise_and_the_planted_effect_stands_out() -> None:
    design = full_factorial(FACTORS[:4])
    found = factorial_effects(design, simulate(design, {"b": 6.0}, seeds=3, noise=0.5))
    points = half_normal(
        [one.name for one in found.effects], [one.estimate for one in found.effects]
    )
    assert points.names[-1] == "b"
    assert (np.diff(points.sizes) >= 0).all()
    assert (np.diff(points.quantiles) > 0).all()
    assert points.sizes[-1] > points.simultaneous_margin > points.sizes[-2]


def test_lenths_error_is_that_of_the_null_effects() -> None:
    rng = np.random.default_rng(5)
    errors = [lenth(np.append(rng.normal(size=30), 50.0))[0] for _ in range(300)]
    # Consistent up to a small factor in theory; the mean of 300 has a standard error of 0.02.
    assert np.mean(errors) == pytest.approx(1.0, abs=0.08)


def test_runs_of_different_protocols_are_refused() -> None:
    design = full_factorial(FACTORS[:2])
    outcomes = simulate(design, {}, seeds=2, noise=1.0)
    mixed = replace(outcomes, protocols=(({"fake_count": "256"}, 4), ({"fake_count": "1024"}, 4)))
    with pytest.raises(ValueError, match="different protocols"):
        factorial_effects(design, mixed)


def test_too_few_runs_are_refused() -> None:
    design = full_factorial(FACTORS[:2])
    empty = outcomes_from_matrix(
        [cell.label for cell in design.cells], [0], np.full((4, 1), np.nan)
    )
    with pytest.raises(ValueError, match="two cells"):
        factorial_effects(design, empty)


@pytest.mark.parametrize("absent", [False, True])
def test_a_factor_that_changes_nothing_has_no_effect_and_no_significance(absent: bool) -> None:
    """Rounding is of one sign on every seed, which a test would take for an effect."""
    design = full_factorial(FACTORS[:3])
    values = [[0.1 + 0.3 * cell.settings["tricks.a"]] * 5 for cell in design.cells]
    if absent:
        values[3][1] = np.nan
    outcomes = outcomes_from_matrix([cell.label for cell in design.cells], range(5), values)
    first, *rest = factorial_effects(design, outcomes).effects
    assert first.estimate == pytest.approx(0.3)
    assert first.p_holm < 0.05
    for one in rest:
        assert (one.estimate, one.low, one.high, one.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("design", "effects"),
    [
        (full_factorial(FACTORS), 15),  # of 31 contrasts
        (fractional_factorial(FACTORS[:4], runs=8), 7),
        (plackett_burman(FACTORS), 5),
        (full_factorial([FACTORS[0], Factor("loss", ("x", "y", "z"))]), 5),
    ],
)
def test_a_preview_counts_the_effects_that_the_table_will_correct_over(
    design: Design, effects: int
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(design.cells), 5))
    outcomes = outcomes_from_matrix([cell.label for cell in design.cells], range(5), values)
    assert len(factorial_effects(design, outcomes).effects) == effects
    assert preview(design, range(5)).comparisons == effects


def test_a_preview_of_a_factorial_that_cannot_run_at_all_is_empty() -> None:
    assert preview(full_factorial(FACTORS[:2], lambda settings: "no"), range(5)).runs == ()
