"""The space of a sweep: what can be drawn from it, and what a draw makes of the base."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations, islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.sweepfile import (
    Draw,
    Range,
    Sweep,
    apply,
    base_draw,
    count_points,
    grid_points,
    parse_sweep,
    walk,
)
from sweeper.sweepfile.check import draw_from
from sweeper.sweepfile.document import Document
from sweeper.sweepfile.domains import Parameter, Values, exact
from sweeper.sweepfile.order import follows_conditions, in_order
from sweeper.sweepfile.ties import with_ties
from tests.unit.spec_example import EXAMPLE
from trials import catalogue
from trials.config import feasible, load_config, problems_of


def sweep_over(parameters: str, base: str = "{data: digits}", sampler: str = "grid") -> Sweep:
    lines = "\n".join(f"  {line.strip()}" for line in parameters.strip().splitlines())
    return parse_sweep(
        f"name: s\nbase: {base}\nsearch: {{sampler: {sampler}}}\nlimits: {{trials: 9}}\n"
        f"parameters:\n{lines}\n"
    )


@pytest.fixture(scope="module", params=["generate", "inpaint"])
def everything(request: pytest.FixtureRequest) -> Sweep:
    """Every trick that a task allows as a toggle with all its knobs, over every loss."""
    losses = catalogue.in_slot("loss")
    # Several tricks need more than 8×8.
    base = {"data": {"name": "digits", "size": 16}, "task": request.param}
    toggles = "\n".join(
        f"tricks.{key}: {{toggle: true, knobs: default}}"
        for key in catalogue.toggles()
        if any(feasible({**base, "loss": loss}, key) for loss in losses)
    )
    return sweep_over(
        f"loss: {{values: [{', '.join(losses)}]}}\nbatch_size: {{values: [32, 64]}}\n"
        f"optimizer.generator.lr: {{min: 1e-5, max: 1e-2, distribution: log_uniform}}\n{toggles}",
        base=str(base),
        sampler="tpe",
    )


def feasible_draws(sweep: Sweep, count: int) -> list[Draw]:
    chance = random.Random(1)
    draws = [walk(sweep, lambda parameter: draw_from(parameter, chance)) for _ in range(count)]
    for draw in draws:
        assert problems_of(draw.config) == []
        assert apply(sweep.base, draw.values) == draw.config
    return draws


def test_no_draw_of_all_tricks_is_an_infeasible_configuration(everything: Sweep) -> None:
    assert any(draw.forced for draw in feasible_draws(everything, 50))


@pytest.mark.slow
def test_a_thousand_draws_hold_every_feasible_pair_of_tricks(everything: Sweep) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for draw in feasible_draws(everything, 1000):
        seen.update(combinations(sorted(load_config(draw.config).tricks), 2))
    reachable = [
        (one, other)
        for one, other in combinations(sorted(catalogue.toggles()), 2)
        for loss in catalogue.in_slot("loss")
        if not problems_of({**everything.base, "loss": loss, "tricks": {one: True, other: True}})
    ]
    assert reachable
    assert [pair for pair in reachable if not seen[pair]] == []


def test_a_toggle_that_conflicts_is_kept_off_without_being_asked_for() -> None:
    sweep = sweep_over(
        """
        tricks.weight_clipping: {toggle: true}
        tricks.weight_clipping.bound: {values: [0.01, 0.1]}
        tricks.spectral_norm: {toggle: true}
        """
    )
    asked = []

    def choose(parameter: Any) -> Any:
        asked.append(parameter.path)
        return parameter.domain.samples()[0]

    first, second = (f"tricks.{key}" for key in ("weight_clipping", "spectral_norm"))
    draw = walk(sweep, choose)
    assert draw.forced == (second,)
    assert draw.values == {first: True, second: False, f"{first}.bound": 0.01}
    assert second not in asked


def test_a_knob_is_asked_for_only_while_its_trick_is_on() -> None:
    sweep = parse_sweep(EXAMPLE)
    for state in (True, False):
        draw = walk(
            sweep,
            lambda parameter, state=state: (
                state if parameter.path == "tricks.ema" else parameter.domain.samples()[0]
            ),
        )
        assert ("tricks.ema.decay" in draw.values) is state
        assert draw.config["tricks"]["ema"] == ({"decay": 0.9} if state else False)


LSGAN = {"name": "lsgan", "b": 2}
SLOW = {"ema": {"decay": 0.9}}


@pytest.mark.parametrize(
    ("base", "values", "expected"),
    [
        ({}, {"a.b.c": 1}, {"a": {"b": {"c": 1}}}),
        ({"a": {"b": 1, "c": 2}}, {"a.b": 3}, {"a": {"b": 3, "c": 2}}),
        ({"loss": "hinge"}, {"loss.margin": 2}, {"loss": {"name": "hinge", "margin": 2}}),
        ({"loss": "hinge"}, {"loss.b": 2, "loss": "lsgan"}, {"loss": LSGAN}),
        ({"loss": LSGAN}, {"loss": "wgan"}, {"loss": "wgan"}),
        (
            {"loss": LSGAN},
            {"loss": "lsgan"},
            {"loss": LSGAN},
        ),
        ({}, {"tricks.ema": True}, {"tricks": {"ema": True}}),
        (
            {"tricks": SLOW},
            {"tricks.ema": True},
            {"tricks": SLOW},
        ),
        ({"tricks": SLOW}, {"tricks.ema": False}, {"tricks": {"ema": False}}),
        ({}, {"tricks.ema.decay": 0.5, "tricks.ema": True}, {"tricks": {"ema": {"decay": 0.5}}}),
    ],
)
def test_values_are_laid_over_the_base(
    base: dict[str, Any], values: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = repr(base)
    assert apply(base, values) == expected
    assert repr(base) == before


def test_a_path_through_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seed is 3, so that seed\.x cannot be set"):
        apply({"seed": 3}, {"seed.x": 1})


def test_the_base_is_a_point_of_its_space_where_the_domains_hold_it() -> None:
    draw = base_draw(parse_sweep(EXAMPLE))
    assert draw.config == parse_sweep(EXAMPLE).base
    assert draw.values == {
        "optimizer.generator.lr": 2e-4,
        "batch_size": 64,
        "loss": "non_saturating",
        "seed": 0,
        "tricks.ema": False,
    }
    outside = sweep_over("seed: {values: [1, 2]}\nsteps: {min: 1, max: 9}", sampler="tpe")
    assert base_draw(outside).values == {}


def test_the_grid_has_each_cell_once_and_counts_them() -> None:
    sweep = sweep_over(
        """
        seed: {values: [0, 1, 2]}
        loss: {values: [hinge, wgan]}
        critic_steps: {min: 1, max: 3, when: {loss: wgan}}
        tricks.spectral_norm: {toggle: true}
        tricks.weight_clipping: {toggle: true}
        tricks.weight_clipping.bound: {min: 0.1, max: 0.3, q: 0.1, distribution: q_uniform}
        """
    )
    found = [draw.values for draw in grid_points(sweep)]
    # Clipping off: spectral norm free (2); on: it is forced off, three bounds (3); losses 1 + 3.
    assert len(found) == count_points(sweep) == 3 * (1 + 3) * (2 + 3)
    assert len({repr(sorted(values.items())) for values in found}) == len(found)
    assert all(feasible(apply(sweep.base, values), "ema") for values in found)
    assert count_points(sweep, at_most=7) == 7


def test_a_range_of_billions_is_counted_and_gone_through_without_being_written_out() -> None:
    billions = "seed: {min: 0, max: 2147483647}\ntricks.ema: {toggle: true}\n"
    sweep = sweep_over(billions)
    assert count_points(sweep, 20) == 20
    assert count_points(sweep, 2**31) == 2**31  # known without a walk
    first = [draw.values for draw in islice(grid_points(sweep), 3)]
    seeds = [(values["seed"], values["tricks.ema"]) for values in first]
    assert seeds == [(0, False), (0, True), (1, False)]
    endless = sweep_over(
        f"{billions}optimizer.generator.lr: {{distribution: log_uniform, min: 0.1, max: 0.2}}",
        sampler="tpe",
    )
    with pytest.raises(ValueError, match=r"range of optimizer\.generator\.lr has no step"):
        count_points(endless)


NESTED = ("a", "a.b", "a.b.c", "a.d", "e.f", "e.f.g", "e")
TIED = ("a.t", "e.t.u", "t")


@st.composite
def nested_spaces(draw: st.DrawFn) -> dict[str, Parameter]:
    """Parameters in any order, some inside others, by their ties too, and some conditional."""
    parameters: dict[str, Parameter] = {}
    ties = list(TIED)
    for path in draw(st.lists(st.sampled_from(NESTED), unique=True, min_size=2)):
        tied = (ties.pop(),) if ties and draw(st.booleans()) else ()
        parent = draw(st.sampled_from([None, *parameters]))
        when = {} if parent is None else {parent: parameters[parent].domain.points()[:1]}
        domain = Values((f"1 at {path}", {"name": f"2 at {path}", "b": {"c": 0}}))
        parameters[path] = Parameter(path, domain, when, tied)
    names = draw(st.permutations(list(parameters)))
    return {name: parameters[name] for name in names}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(parameters=nested_spaces(), ordered=st.booleans(), seed=st.integers(0, 99))
def test_every_drawn_value_is_applied_whatever_stands_inside_what(
    parameters: dict[str, Parameter], ordered: bool, seed: int
) -> None:
    document = Document("nested")
    in_turn = in_order(document, parameters, {})
    assert document.problems == []
    assert follows_conditions(in_turn)
    if not ordered:  # as an earlier version has stored it: conditions alone say what comes first
        ready = sorted(parameters.values(), key=lambda item: len(item.when))
        in_turn = tuple(ready) if follows_conditions(ready) else in_turn
    sweep = Sweep(name="s", base={"a": {"b": {"x": 1}}}, parameters=in_turn)
    chance = random.Random(seed)
    draw = walk(sweep, lambda parameter: draw_from(parameter, chance))
    laid = with_ties(sweep.parameters, draw.values)
    assert draw.config == apply(sweep.base, laid)
    for path, value in laid.items():
        here: Any = draw.config
        for key in path.split("."):
            here = here[key]
        name = here["name"] if isinstance(here, dict) else here
        assert name == (value["name"] if isinstance(value, dict) else value)


def test_a_setting_is_decided_after_what_is_searched_above_it() -> None:
    sweep = sweep_over(
        """
        optimizer.generator.lr: {values: [0.1, 0.2]}
        optimizer.discriminator.lr: {tie: optimizer.generator.lr}
        loss: {values: [hinge, wgan]}
        optimizer.discriminator: {values: [adam, rmsprop], when: {loss: wgan}}
        optimizer.generator: {values: [adam, rmsprop]}
        """
    )
    assert [item.path for item in sweep.parameters] == [
        "loss",
        "optimizer.generator",
        "optimizer.discriminator",
        "optimizer.generator.lr",
    ]
    last = walk(sweep, lambda parameter: parameter.domain.samples()[-1])
    both = {"name": "rmsprop", "lr": 0.2}
    assert last.config["optimizer"] == {"generator": both, "discriminator": both}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    low=st.integers(1, 50),
    span=st.integers(1, 60),
    step=st.sampled_from([1, 2, 3, 0.1, 0.25, 0.7]),
    log=st.booleans(),
    share=st.floats(0, 1),
)
def test_a_snapped_value_is_a_point_of_its_range(
    low: int, span: int, step: float, log: bool, share: float
) -> None:
    integer = isinstance(step, int)
    high = low + span
    if not log:
        high = low + span // exact(step) * exact(step)
    domain = Range(low, int(high) if integer else float(high), log, step, integer)
    values = list(domain.points())
    assert len(values) == len(set(values)) == domain.size()
    snapped = domain.snap(domain.low + share * (domain.high - domain.low))
    assert snapped in values
    assert domain.contains(snapped)
    assert domain.low <= snapped <= domain.high
    assert isinstance(snapped, int) is integer
