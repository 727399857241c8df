"""Population based training as a function of curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweeper.home import Home
from sweeper.preview import overview_of
from sweeper.search.ledger import Ledger
from sweeper.search.sampler_view import SamplerView
from sweeper.search.samplers.random import Random
from sweeper.search.stopping.pbt import FACTORS, PopulationBased
from sweeper.standings.one_setting import left_out
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Seeds
from sweeper.trial import Evaluation

LR = Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True))
STEPS = Parameter("critic_steps", Range(1, 8, step=1, integer=True))
WIDTH = Parameter("networks.generator.width", Range(8, 64, step=8, integer=True))
LOSS = Parameter("loss", Values(("hinge", "wgan")))
MARKS = {"interval_steps": 10, "grace_steps": 20}


def sweep(**options: object) -> Sweep:
    return Sweep(
        name="population",
        base={},
        parameters=(LR, STEPS, WIDTH, LOSS),
        search=Random.Config(seed=1),
        scheduler=PopulationBased.Config(**MARKS, **options),
    )


def rule(**options: object) -> PopulationBased:
    return PopulationBased.of(sweep(**options))


def values(number: int) -> dict[str, object]:
    return {LR.path: 1e-3, STEPS.path: 2, WIDTH.path: 8 * (number + 1), LOSS.path: "wgan"}


def population(step: int) -> tuple[dict[int, dict[int, float]], dict[int, dict[str, object]]]:
    """Eight trials; trial 0 is the best."""
    curves = {number: {10: 1.0, step: float(number)} for number in range(8)}
    return curves, {number: values(number) for number in range(8)}


def test_a_share_of_the_population_is_counted_as_it_is_written():
    # 100 × 0.29 is 28.999… in floating point: trial 71 would be spared, and 28 donors drawn from.
    curves = {number: {10: 1.0, 20: float(number)} for number in range(100)}
    known = {number: values(0) for number in range(100)}
    decided = {n: rule(quantile=0.29).take_over(n, curves, known) for n in range(60, 100)}
    assert [n for n, taken in decided.items() if taken is not None] == list(range(71, 100))


def test_the_worst_copy_the_best_and_the_others_go_on():
    curves, known = population(20)
    decided = {n: rule().take_over(n, curves, known) for n in curves}
    assert [n for n, taken in decided.items() if taken is not None] == [6, 7]
    for number in (6, 7):
        taken = decided[number]
        assert taken.donor in (0, 1)
        assert taken.donor_step == 20
        assert taken.draw.values[WIDTH.path] == 8 * (taken.donor + 1)
        assert taken.draw.values[LOSS.path] == "wgan"
        assert taken.draw.config["loss"] == "wgan"
        assert rule().take_over(number, curves, known) == taken


def test_nothing_is_decided_between_milestones_or_in_the_grace():
    for step in (11, 19, 29):
        curves, known = population(step)
        curves[7] |= {20: 7.0} if step > 20 else {}
        assert rule().take_over(7, curves, known) is None


def test_what_the_networks_or_other_settings_hang_on_is_never_nudged():
    decay = Parameter("tricks.ema.decay", Range(0.9, 0.999))
    kernels = Parameter("tricks.minibatch_discrimination.kernels", Range(8, 99, 1, integer=True))
    beta = Parameter("optimizer.generator.beta1", Range(0.0, 0.9), when={STEPS.path: (2,)})
    spec = Sweep(
        name="population",
        base={},
        parameters=(STEPS, decay, kernels, beta),
        scheduler=PopulationBased.Config(**MARKS, resample=0.5),
    )
    given = {STEPS.path: 2, decay.path: 0.95, kernels.path: 50, beta.path: 0.5}
    found = [
        PopulationBased.of(spec).explore(given, np.random.default_rng(seed)) for seed in range(20)
    ]
    assert {(one[STEPS.path], one[kernels.path]) for one in found} == {(2, 50)}
    assert len({one[decay.path] for one in found}) > 5
    assert len({one[beta.path] for one in found}) > 5


INSIDE, OUTSIDE = 2e-4, 0.5


@pytest.mark.parametrize(
    ("rate", "base", "expected"),
    [(INSIDE, 0.0, {2: 0}), (OUTSIDE, 0.0, {2: 1}), (INSIDE, 9.0, {}), (OUTSIDE, 9.0, {2: 1})],
)
def test_the_base_stays_what_it_is_and_is_copied_only_if_it_is_a_point_of_the_space(
    rate: float, base: float, expected: dict[int, int], tmp_path: Path
) -> None:
    spec = Sweep(
        name="population",
        base={
            "data": {"name": "digits"},
            "optimizer": {"generator": {"lr": rate}},
            "evaluation": {"every": 10},
        },
        parameters=(LR,),
        search=Random.Config(),
        scheduler=PopulationBased.Config(quantile=0.5),
        limits=Limits(trials=3),
    )
    folder = Home(tmp_path).sweep("population")
    folder.create()
    ledger = Ledger.open(spec, folder)
    for value in (base, 1.0, 2.0):
        number = ledger.ask().number
        ledger.report(number, Evaluation(10, 1.0, {"fid": value}))
    taken = {number: ledger.scheduler.take_over(number) for number in range(3)}
    donors = {number: one.donor for number, one in taken.items() if one is not None}
    assert donors == expected
    assert ledger.trial(0).config["optimizer"]["generator"]["lr"] == rate


def test_a_value_of_several_settings_teaches_no_sampler_and_no_importance(tmp_path: Path) -> None:
    spec = Sweep(
        name="population",
        base={"evaluation": {"every": 10}},
        parameters=(LR,),
        search=Random.Config(start_with_base=False),
        scheduler=PopulationBased.Config(quantile=0.5, **MARKS),
        limits=Limits(trials=2),
    )
    folder = Home(tmp_path).sweep("population")
    folder.create()
    ledger = Ledger.open(spec, folder)
    for value in (1.0, 2.0):
        number = ledger.ask().number
        ledger.report(number, Evaluation(20, 1.0, {"fid": value}))
    assert ledger.scheduler.take_over(1).donor == 0
    view = SamplerView(spec, ledger._study)
    assert [trial.number for trial in view.get_trials()] == [0]  # at once, while it runs
    for number in (0, 1):
        ledger.complete(number, [0.5])
    view = SamplerView(spec, ledger._study)
    assert [trial.number for trial in view.get_trials()] == [0]
    assert left_out(ledger.standings()).startswith("1 trial is left out")


def test_who_confirms_a_population_is_told_that_fresh_seeds_repeat_no_take_over(
    tmp_path: Path,
) -> None:
    base = {"data": {"name": "digits"}, "evaluation": {"every": 10}}
    spec = replace(sweep(), base=base, parameters=(LR,), seeds=Seeds(confirm_top=1, replicates=2))
    told = "fresh seeds train the last settings of a pbt trial from the first step"
    for seeds, expected in ((spec.seeds, True), (Seeds(), False)):
        warnings = overview_of(replace(spec, seeds=seeds), Home(tmp_path))["warnings"]
        assert any(told in one for one in warnings) is expected


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (Range(0.0, 0.5, step=0.1), 0.2, {0.1, 0.3}),
        (Range(0.0, 0.5, step=0.1), 0.0, {0.0, 0.1}),
        (Range(32, 128, step=32, integer=True), 32, {32, 64}),
        (Range(0.0, 1.0, step=0.25), 1.0, {0.75, 1.0}),
    ],
)
def test_a_nudge_is_never_lost_in_rounding(
    domain: Range, value: float, expected: set[float]
) -> None:
    knob = Parameter("tricks.ema.decay", domain)
    spec = replace(sweep(resample=0.0), parameters=(knob,))
    rng = np.random.default_rng(0)
    found = [PopulationBased.of(spec).explore({knob.path: value}, rng) for _ in range(20)]
    assert {one[knob.path] for one in found} == expected


BATCH = Parameter("batch_size", Values((16, 32)))
CRITIC = Parameter(STEPS.path, Values((1, 2, 5)))


def test_numbers_of_a_list_are_drawn_anew_and_what_cannot_be_perturbed_is_told(
    tmp_path: Path,
) -> None:
    base = {"data": {"name": "digits"}, "evaluation": {"every": 10}, "steps": 100}
    spec = replace(sweep(), base=base, limits=Limits(trials=8))
    for parameters, idle in (((CRITIC, LOSS), False), ((BATCH, LOSS), True), ((WIDTH, LOSS), True)):
        told = overview_of(replace(spec, parameters=parameters), Home(tmp_path))["warnings"]
        assert any("pbt can perturb none" in one for one in told) is idle
    population = PopulationBased.of(replace(spec, parameters=(CRITIC, BATCH, LOSS)))
    given = {CRITIC.path: 2, BATCH.path: 32, LOSS.path: "wgan"}
    found = [population.explore(given, np.random.default_rng(seed)) for seed in range(60)]
    assert {(one[LOSS.path], one[BATCH.path]) for one in found} == {("wgan", 32)}
    assert {one[CRITIC.path] for one in found} == {1, 2, 5}
    assert sum(one[CRITIC.path] == 2 for one in found) > 30


def test_whoever_comes_first_has_nobody_to_copy():
    curves, known = population(20)
    assert rule().take_over(7, {7: curves[7]}, known) is None
    assert rule(quantile=0.5).take_over(7, {0: curves[0], 7: curves[7]}, known).donor == 0


@pytest.mark.parametrize("resample", [0.0, 1.0])
def test_settings_are_nudged_or_drawn_anew_inside_their_domains(resample):
    spec = sweep(resample=resample)
    rng = np.random.default_rng(0)
    drawn = [PopulationBased.of(spec).explore(values(3), rng) for _ in range(50)]
    for one in drawn:
        assert all(spec.parameter(path).domain.contains(value) for path, value in one.items())
        assert one[WIDTH.path] == 32
        assert one[LOSS.path] == "wgan"
    rates = {one[LR.path] for one in drawn}
    assert len(rates) == (2 if resample == 0.0 else 50)
    if resample == 0.0:
        assert rates == {1e-3 * factor for factor in FACTORS}
        assert {one[STEPS.path] for one in drawn} == {1, 3}
