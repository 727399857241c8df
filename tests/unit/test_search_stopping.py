"""The rules that stop trials early, held to Optuna's pruners."""

from __future__ import annotations

from functools import partial

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner

from sweeper.search.halving import Halving
from sweeper.search.stopping.hyperband import Brackets
from sweeper.search.stopping.median import behind_median
from sweeper.search.stopping_rule import StoppingRule
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.rungs import idle_in_words

optuna.logging.set_verbosity(optuna.logging.ERROR)


def file(rule: str, steps: int = 100) -> str:
    base = f"{{data: digits, steps: {steps}, evaluation: {{every: 30}}}}"
    parameters = "{optimizer.generator.lr: {min: 0.1, max: 0.2}}"
    return (
        f"{{name: race, base: {base}, parameters: {parameters}, limits: {{trials: 5}}, "
        f"scheduler: {rule}}}"
    )


@pytest.mark.parametrize(
    ("late", "early"),
    [
        ("{name: asha, grace_steps: 91}", "{name: asha, grace_steps: 90}"),
        ("{name: median, grace_steps: 91}", "{name: median, grace_steps: 90}"),
        ("{name: hyperband, grace_steps: 100}", "hyperband"),
        ("{name: pbt, interval_steps: 60, grace_steps: 70}", "{name: pbt, interval_steps: 60}"),
    ],
)
def test_a_rule_that_no_training_leaves_anything_to_decide_is_told(late: str, early: str) -> None:
    told = idle_in_words(parse_sweep(file(late)))
    assert "will never act: it acts from step" in told
    assert "looks last at step 90 before the end of 100 steps" in told
    assert idle_in_words(parse_sweep(file(early))) == ""
    assert "looks never before the end of 30 steps" in idle_in_words(parse_sweep(file(early, 30)))
    assert idle_in_words(parse_sweep(file("none"))) == ""


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{name: median, startup_trials: 5}", "with 5 others or more, and there are 5 trials"),
        ("{name: median, startup_trials: 4}", ""),
        ("{name: pbt, quantile: 0.15}", "the worst share, 0.15 of 5 trials, is not one"),
        ("{name: pbt, quantile: 0.2}", ""),
    ],
)
def test_a_rule_that_has_too_few_trials_ever_to_act_is_told(rule: str, told: str) -> None:
    made = StoppingRule.of(parse_sweep(file(rule)))
    assert told in "; ".join(made.doubts(5))
    assert bool(list(made.doubts(5))) is bool(told)
    assert not list(made.doubts(None))


def race(rule, pruner, direction: str, seed: int, trials: int = 24, steps: int = 27):
    """Trials in an arbitrary order of steps; rule and pruner see the same and must agree."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(study_name="race", direction=direction, pruner=pruner)
    curves: dict[int, dict[int, float]] = {}
    running: dict[int, optuna.Trial] = {}
    stopped = 0
    while len(curves) < trials or running:
        if len(running) < 4 and len(curves) < trials:
            trial = study.ask()
            running[trial.number], curves[trial.number] = trial, {}
        number = int(rng.choice(list(running)))
        trial, curve = running[number], curves[number]
        step = len(curve) + 1
        curve[step] = float(rng.normal() - 0.1 * step + number % 5)
        trial.report(curve[step], step)
        mine, theirs = rule(number, curves), trial.should_prune()
        assert (mine is not None) == theirs, (number, step, mine)
        assert rule(number, curves) == mine
        if theirs:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            stopped += 1
        elif step == steps:
            study.tell(trial, curve[step])
        if theirs or step == steps:
            del running[number]
    return stopped


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(4))
def test_successive_halving_decides_as_optuna_does(direction, seed):
    rule = Halving(grace=2, factor=3, maximize=direction == "maximize")
    pruner = SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    assert race(rule, pruner, direction, seed) > 8


@pytest.mark.parametrize("seed", range(4))
def test_hyperband_decides_as_optuna_does(seed):
    rule = Brackets("race", grace=2, factor=3, steps=27, maximize=False)
    pruner = HyperbandPruner(min_resource=2, max_resource=27, reduction_factor=3)
    assert race(rule, pruner, "minimize", seed) > 4


@pytest.mark.parametrize(("factor", "power"), [(3, 5), (10, 3), (2, 29), (5, 3), (7, 1)])
def test_hyperband_has_a_bracket_for_every_whole_power_of_its_factor(factor, power):
    # log(3^5) / log 3 and log(10^3) / log 10 are a little less than whole in floating point.
    for steps, brackets in ((factor**power, power + 1), (factor**power - 1, power)):
        rule = Brackets("race", grace=1, factor=factor, steps=steps, maximize=False)
        assert max(map(rule.bracket, range(3000))) <= brackets - 1
        if power <= 5:
            assert {rule.bracket(number) for number in range(3000)} == set(range(brackets))


def test_a_trial_that_passed_a_rung_gets_no_second_verdict_there():
    rule = Halving(grace=1, factor=2, maximize=False)
    curves = {0: {1: 5.0}}
    assert rule(0, curves) is None
    curves |= {1: {1: 1.0}, 2: {1: 2.0}}
    curves[0] = {1: 5.0, 3: 9.0}  # rung 2 is reached at step 3, by nobody else
    assert rule(0, curves) is None
    curves[1] = {1: 1.0, 2: 0.5}
    assert "rung 2" in rule(0, curves)


def test_the_median_rule_spares_what_is_better_than_half_and_waits_for_company():
    curves = {number: {1: float(number), 2: float(number)} for number in range(5)}
    rule = partial(behind_median, grace=2, startup=5, maximize=False)
    curves[5] = {1: 2.5}
    assert rule(5, curves) is None  # in its grace
    curves[5] = {1: 2.5, 2: 2.5}
    assert "median of 5" in rule(5, curves)
    curves[5] = {1: 1.5, 2: 9.0}
    assert rule(5, curves) is None  # its best counts
    curves.pop(4)
    curves[5] = {1: 9.0, 2: 9.0}
    assert rule(5, curves) is None  # too few to compare with
