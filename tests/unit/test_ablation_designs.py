"""Designs: which cells, what is missing, what a fraction confuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.ablation.design import (
    AliasTerm,
    Cell,
    Design,
    DesignError,
    Factor,
    missing,
)
from sweeper.ablation.designs.add_one_in import add_one_in
from sweeper.ablation.designs.full_factorial import full_factorial
from sweeper.ablation.designs.leave_one_out import leave_one_out
from sweeper.ablation.designs.one_factor import OneFactor, one_factor
from sweeper.ablation.fractional import fractional_factorial, plackett_burman
from sweeper.ablation.preview import preview

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def toggles(count: int) -> list[Factor]:
    return [Factor(f"tricks.{letter}") for letter in LETTERS[:count]]


def signs(design: Design) -> np.ndarray:
    """(cells, factors) of ±1."""
    rows = [
        [1 if cell.settings[factor.path] == factor.levels[-1] else -1 for factor in design.factors]
        for cell in design.cells
    ]
    return np.array(rows)


def test_leave_one_out_starts_full_and_puts_each_factor_back_to_its_first_level() -> None:
    rate = Factor("optimizer.lr", (1e-4, 2e-4), name="lr")
    design = leave_one_out([*toggles(2), rate])
    assert design.reference == "full"
    assert [cell.label for cell in design.cells] == ["full", "without a", "without b", "lr=0.0001"]
    assert design.cells[0].settings == {"tricks.a": True, "tricks.b": True, "optimizer.lr": 2e-4}
    assert design.cells[2].settings["tricks.b"] is False


def test_leave_one_out_tries_every_level_but_the_last_in_the_place_of_it() -> None:
    design = leave_one_out([Factor("loss", ("hinge", "wgan", "lsgan")), Factor("tricks.a")])
    assert [cell.label for cell in design.cells] == ["full", "loss=hinge", "loss=wgan", "without a"]
    assert design.cells[2].settings == {"tricks.a": True, "loss": "wgan"}


def test_add_one_in_tries_every_level_but_the_first_on_its_own() -> None:
    design = add_one_in([Factor("tricks.a"), Factor("loss", ("hinge", "wgan", "lsgan"))])
    assert [cell.label for cell in design.cells] == ["base", "with a", "loss=wgan", "loss=lsgan"]
    assert design.cells[3].settings == {"tricks.a": False, "loss": "lsgan"}


def test_one_factor_compares_with_the_level_asked_for_even_none() -> None:
    factor = Factor("augment", (0.1, None, 0.3))
    assert one_factor(factor).reference == "augment=0.1"
    assert one_factor(factor, reference=None).reference == "augment=null"
    with pytest.raises(DesignError, match="not one of the levels"):
        one_factor(factor, reference=0.2)


def test_a_full_factorial_has_every_combination_once() -> None:
    design = full_factorial([*toggles(2), Factor("batch_size", (16, 32, 64))])
    assert len({cell.key for cell in design.cells}) == len(design.cells) == 12
    assert design.cells[0].label == "batch_size=16"
    assert design.cells[-1].label == "a + b + batch_size=64"


def test_impossible_cells_are_kept_with_their_reason_and_never_asked_for() -> None:
    def feasible(settings: Mapping[str, Any]) -> str | None:
        both = settings["tricks.a"] and settings["tricks.b"]
        return "a conflicts with b" if both else None

    design = full_factorial(toggles(2), feasible)
    assert [cell.impossible for cell in design.cells] == [None, None, None, "a conflicts with b"]
    asked = missing(design.cells, [0], set())
    assert [cell.label for cell, _ in asked] == ["none", "b", "a"]


def test_cells_with_equal_settings_have_one_key_whatever_their_order_or_label() -> None:
    first = Cell("one", {"tricks.a": True, "lr": 1e-3})
    second = Cell("two", {"lr": 1e-3, "tricks.a": True})
    assert first.key == second.key
    assert first.key != Cell("one", {"tricks.a": 1, "lr": 1e-3}).key


@settings(max_examples=50, deadline=None)
@given(
    done=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6))),
    extra_seeds=st.integers(0, 3),
)
def test_what_is_missing_is_exactly_what_is_not_done(
    done: set[tuple[int, int]], extra_seeds: int
) -> None:
    design = leave_one_out(toggles(4))
    keys = {(design.cells[cell].key, seed) for cell, seed in done}
    seeds = range(4 + extra_seeds)
    asked = {(cell.key, seed) for cell, seed in missing(design.cells, seeds, keys)}
    assert asked == {(cell.key, seed) for cell in design.cells for seed in seeds} - keys


def test_missing_runs_go_seed_by_seed_so_that_a_study_cut_short_is_paired() -> None:
    order = missing(leave_one_out(toggles(2)).cells, [3, 7], set())
    assert [seed for _, seed in order] == [3, 3, 3, 7, 7, 7]


# Resolutions as in NIST/SEMATECH's e-Handbook, table 5.3.3.4.7.
@pytest.mark.parametrize(
    ("factors", "runs", "resolution"),
    [
        (3, 4, 3), (4, 8, 4), (5, 8, 3), (5, 16, 5), (6, 8, 3), (6, 16, 4), (6, 32, 6),
        (7, 8, 3), (7, 16, 4), (7, 32, 4), (7, 64, 7), (8, 16, 4), (8, 32, 4), (8, 64, 5),
        (9, 16, 3), (9, 32, 4), (9, 128, 6), (10, 32, 4), (10, 128, 5), (11, 128, 5),
    ],
)  # fmt: skip
def test_a_fraction_reaches_the_published_resolution(
    factors: int, runs: int, resolution: int
) -> None:
    design = fractional_factorial(toggles(factors), runs=runs)
    assert len(design.cells) == runs
    assert design.resolution == resolution
    matrix = signs(design)
    # Main effects are balanced and clear of each other in any resolution.
    assert (matrix.sum(axis=0) == 0).all()
    assert (matrix.T @ matrix == runs * np.eye(factors)).all()


def test_asking_for_a_resolution_takes_the_fewest_runs_that_reach_it() -> None:
    assert len(fractional_factorial(toggles(8), resolution=3).cells) == 16
    assert len(fractional_factorial(toggles(8), resolution=4).cells) == 16
    assert len(fractional_factorial(toggles(8), resolution=5).cells) == 64


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_stated_aliases_are_the_columns_that_are_equal(seed: int) -> None:
    """The alias structure, computed from words, against the design matrix, entry by entry."""
    rng = np.random.default_rng(seed)
    base, extra = 3, int(rng.integers(1, 3))
    products = [c for size in (2, 3) for c in itertools.combinations("abc", size)]
    lines = []
    for index, pick in enumerate(rng.permutation(len(products))[:extra]):
        sign = "-" if rng.random() < 0.5 else ""
        lines.append(f"{LETTERS[base + index]} = {sign}{'*'.join(products[pick])}")
    design = fractional_factorial(toggles(base + extra), generators=lines)
    matrix = signs(design)
    names = [factor.name for factor in design.factors]

    def column(effect: tuple[str, ...]) -> np.ndarray:
        return np.asarray(np.prod([matrix[:, names.index(name)] for name in effect], axis=0))

    effects = [
        effect for size in range(1, len(names) + 1)
        for effect in itertools.combinations(names, size)
    ]  # fmt: skip
    for effect in effects:
        stated = {term.factors: term.coefficient for term in design.aliases[effect]}
        seen = {
            other: float((column(effect) * column(other)).mean())
            for other in effects
            if other != effect and abs((column(effect) * column(other)).mean()) == 1
        }
        assert stated == seen


def test_aliases_read_as_equations_by_the_factors_names() -> None:
    factors = [Factor(f"tricks.{name}") for name in ("ema", "spectral", "r1", "diffaug")]
    design = fractional_factorial(factors, generators=["diffaug = ema*spectral*r1"])
    assert design.resolution == 4
    assert design.defining_relation == ("ema × spectral × r1 × diffaug",)
    lines = design.describe_aliases()
    assert "ema × spectral = r1 × diffaug" in lines
    assert len(lines) == 3  # each pair of pairs once, from whichever side it is seen
    assert design.aliases[("ema",)] == (AliasTerm(("spectral", "r1", "diffaug")),)


@pytest.mark.parametrize("factors", [3, 7, 11, 19, 27, 35])
def test_plackett_burman_columns_are_balanced_and_orthogonal(factors: int) -> None:
    design = plackett_burman([Factor(f"tricks.t{index}") for index in range(factors)])
    matrix = signs(design)
    runs = len(design.cells)
    assert runs == factors + 1
    assert (matrix.sum(axis=0) == 0).all()
    assert (matrix.T @ matrix == runs * np.eye(factors)).all()


def test_plackett_burman_names_its_partial_aliases() -> None:
    design = plackett_burman(toggles(11))
    matrix = signs(design)
    terms = {term.factors: term.coefficient for term in design.aliases[("a",)]}
    # In twelve runs every interaction of two others lies at ±1/3 along each main effect.
    assert len(terms) == 45
    assert {abs(round(value, 12)) for value in terms.values()} == {round(1 / 3, 12)}
    b_c = float((matrix[:, 0] * matrix[:, 1] * matrix[:, 2]).mean())
    assert terms[("b", "c")] == pytest.approx(b_c)
    assert "·b × c" in design.describe_aliases()[0]
    short = design.describe_aliases(most=4)[0]
    assert short.endswith(" and 41 more")
    assert short.count("×") == 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: leave_one_out([]), "at least one factor"),
        (lambda: Factor("lr", (1e-3, 1e-3)), "two or more different levels"),
        (lambda: leave_one_out([Factor("tricks.a"), Factor("tricks.a")]), "share the path"),
        (lambda: fractional_factorial(toggles(4)), "exactly one"),
        (lambda: fractional_factorial(toggles(4), runs=4), "power of two"),
        (lambda: fractional_factorial(toggles(4), resolution=9), "resolution 3 to 4"),
        (lambda: fractional_factorial(toggles(4), generators=["d = a*x"]), "unknown: x"),
        (lambda: fractional_factorial(toggles(4), generators=["d = a"]), "same column"),
        (lambda: fractional_factorial(toggles(4), generators=["d = a*a*b"]), "same column"),
        (
            lambda: fractional_factorial(toggles(5), generators=["d = a*b", "e = -a*b"]),
            "d and e would be the same column",
        ),
        (lambda: fractional_factorial(toggles(4), generators=[]), "needs a generator"),
        (lambda: fractional_factorial(toggles(2), runs=4), "a full_factorial of them has 4 runs"),
        (lambda: fractional_factorial(toggles(2), resolution=3), "three factors or more"),
        (
            lambda: fractional_factorial([*toggles(2), Factor("lr", (1, 2, 3))], runs=4),
            "two levels",
        ),
    ],
)
def test_designs_that_cannot_be_are_refused_with_the_reason(
    build: Callable[[], object], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        build()


def test_a_design_of_one_factor_refuses_two() -> None:
    with pytest.raises(DesignError, match="exactly one factor"):
        OneFactor(OneFactor.Config()).arrange(toggles(2))


def test_a_preview_tells_runs_and_what_they_can_find() -> None:
    design = leave_one_out(toggles(8))
    done = {(design.cells[0].key, 0), (design.cells[1].key, 0)}
    five, ten = preview(design, range(5), done), preview(design, range(10))
    assert (len(five.runs), five.already_done, five.comparisons) == (43, 2, 8)
    assert (five.test, ten.test) == ("t", "sign_flip")
    assert five.detectable is not None
    assert ten.detectable is not None
    assert five.detectable > ten.detectable > 1.0
    assert preview(design, [0]).test is None
