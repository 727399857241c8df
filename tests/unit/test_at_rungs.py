"""A sampler that learns at the rungs sees trials that run, were stopped or have ended alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.errors import SpecError
from sweeper.home import Home
from sweeper.parts import RuleConfig
from sweeper.search.at_rungs import AtRungs
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.bohb import Bohb
from sweeper.search.samplers.random import Random
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.hyperband import Hyperband
from sweeper.search.stopping.none import NoRule
from sweeper.search.stopping_rule import StoppingRule
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.domains import Parameter, Range, Toggle
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation, Trial

STEPS, PARALLEL = 9, 4
ASHA = Asha.Config(grace_steps=1, reduction_factor=3)  # rungs 1, 3 and 9
FILE = """
name: race
base: {data: digits, steps: 90}
parameters: {batch_size: {values: [16, 32]}}
limits: {trials: 5}
search: {sampler: bohb}
scheduler: RULE
"""


def sweep(search: Random.Config, scheduler: RuleConfig = ASHA) -> Sweep:
    return Sweep(
        name="race",
        base={"data": "digits", "steps": STEPS, "evaluation": {"every": 1}},
        parameters=(
            Parameter("tricks.ema", Toggle()),
            Parameter("optimizer.generator.beta1", Range(0.0, 1.0)),
            Parameter("tricks.ema.decay", Range(0.0, 0.9), when={"tricks.ema": (True,)}),
        ),
        search=search,
        scheduler=scheduler,
        limits=Limits(trials=30),
    )


def trial(*curve: float, state: TrialState = TrialState.PRUNED) -> FrozenTrial:
    """One with these values at steps 1, 2, …"""
    return create_trial(
        state=state,
        values=[curve[-1]] if state == TrialState.COMPLETE else None,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        intermediate_values=dict(enumerate(curve, 1)),
    )


def seen(trials: list[FrozenTrial], enough: int, rule: RuleConfig = ASHA) -> list[FrozenTrial]:
    return AtRungs(StoppingRule.of(sweep(Random.Config(), rule)), enough).of(trials)


def values(trials: list[FrozenTrial]) -> list[float | None]:
    return [one.value if one.state == TrialState.COMPLETE else None for one in trials]


def test_trials_are_compared_at_the_highest_rung_to_which_enough_have_come() -> None:
    completed = trial(9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, state=TrialState.COMPLETE)
    stopped = trial(9.5, 8.5, 7.5)
    running = trial(9.2, 8.2, 7.2, 6.2, state=TrialState.RUNNING)
    early = trial(9.9)
    begun = trial(9.8, state=TrialState.RUNNING)
    broken = trial()
    trials = [completed, stopped, running, early, begun, broken]
    # One has completed; what was stopped is out, what runs and what fell apart is not.
    assert seen(trials, 1) == [completed, running, begun, broken]
    for enough in (2, 3):
        third = seen(trials, enough)
        assert values(third) == [7.0, 7.5, 7.2, None, None]
        assert third[3:] == [begun, broken]
    assert values(seen(trials, 4)) == values(seen(trials, 5)) == [9.0, 9.5, 9.2, 9.9, 9.8, None]
    assert seen(trials, 6) is trials  # not enough anywhere
    assert seen(trials, 3, NoRule.Config()) is trials
    assert values(seen(trials, 3, Hyperband.Config(grace_steps=1))) == values(third)


def test_a_value_between_two_rungs_counts_at_the_lower_one() -> None:
    sparse = [trial() for _ in range(2)]
    for one, step in zip(sparse, (4, 5), strict=True):
        one.intermediate_values = {2: 8.0, step: float(step)}
    assert values(seen(sparse, 2)) == [4.0, 5.0]  # the first value at rung 3 or after it


def test_what_a_trial_shows_changes_with_the_rung_and_with_its_curve() -> None:
    view = AtRungs(StoppingRule.of(sweep(Random.Config())), 2)
    first, second = trial(9.0, 8.0, 7.0), trial(9.5)
    assert values(view.of([first, second])) == [9.0, 9.5]
    second = trial(9.5, 8.5, 7.5)
    assert values(view.of([first, second])) == [7.0, 7.5]
    third = trial(9.1, 8.1, 7.1)
    assert values(view.of([first, second, third])) == [7.0, 7.5, 7.1]


def curve(point: dict[str, object], step: int) -> float:
    beta = float(point["optimizer.generator.beta1"])  # type: ignore[arg-type]
    return (abs(beta - 0.4) + 0.05 * (not point["tricks.ema"]) + 0.05) * (1 + 10 / step)


def race(spec: Sweep, folder: Path, trials: int, stops: bool = False) -> list[Trial]:
    """Four trials at a time, an evaluation each in turn; every fifth falls apart."""
    place = Home(folder).sweep(spec.name)
    place.create()
    ledger = Ledger.open(spec, place)
    running: list[int] = []
    turn = 0
    while True:
        while len(running) < PARALLEL and ledger.counts()["search"] < trials:
            running.append(ledger.ask().number)
        if not running:
            return ledger.trials()
        number = running[turn % len(running)]
        before = ledger.trial(number)
        step = before.steps + 1
        with ledger.together():
            value = curve(dict(before.values), step)
            ledger.report(number, Evaluation(step, 1.0, {"fid": value}))
            if number % 5 == 4:
                ledger.fail(number, "divergence", "the losses are not finite")
            elif (reason := ledger.scheduler.verdict(number)) is not None:
                ledger.prune(number, "scheduler", reason)
            elif step == STEPS:
                ledger.complete(number, [value])
        if ledger.trial(number).over:
            running.remove(number)
        turn += 1
        if stops and turn % 7 == 3:
            ledger = Ledger.open(spec, place)


def test_it_proposes_the_same_beside_running_trials_when_its_driver_is_killed(tmp_path) -> None:
    search = Bohb.Config(seed=3, startup_trials=4, rung_trials=3, start_with_base=False)
    straight = race(sweep(search), tmp_path / "straight", 20)
    stopped = race(sweep(search), tmp_path / "stopped", 20, stops=True)
    assert [one.values for one in straight] == [one.values for one in stopped]
    assert {one.state for one in straight} == {"completed", "pruned", "failed"}


@pytest.mark.parametrize("ended", [0, 1])
def test_a_belief_counts_among_trials_of_which_most_still_run(ended: int, tmp_path) -> None:
    prior = {"optimizer.generator.beta1": {"center": 0.9, "spread": 0.2}}
    search = Bohb.Config(
        seed=3,
        startup_trials=10,
        random_share=0.0,
        start_with_base=False,
        prior=prior,
        prior_weight=0.01,
    )
    place = Home(tmp_path).sweep("race")
    place.create()
    ledger = Ledger.open(sweep(search), place)
    for _ in range(12):
        trial = ledger.ask()
        value = curve(dict(trial.values), 1)
        ledger.report(trial.number, Evaluation(1, 1.0, {"fid": value}))
        if trial.number < ended:
            ledger.complete(trial.number, [value])
    proposed = [ledger.ask().values["optimizer.generator.beta1"] for _ in range(8)]
    # Trials of 0.4 are the best; a belief that hardly weighs does not outweigh twelve of them.
    assert min(abs(beta - 0.4) for beta in proposed) < 0.2


def test_a_share_of_its_proposals_is_drawn_at_random(tmp_path) -> None:
    drawn = {}
    for share in (0.0, 0.5, 1.0):
        search = Bohb.Config(
            seed=3, startup_trials=1, rung_trials=2, random_share=share, start_with_base=False
        )
        drawn[share] = [one.values for one in race(sweep(search), tmp_path / str(share), 12)]
    chance = race(sweep(Random.Config(seed=3, start_with_base=False)), tmp_path / "random", 12)
    at_random = [one.values for one in chance]
    assert drawn[1.0] == at_random
    assert not [values for values in drawn[0.0] if values in at_random]
    assert 2 <= sum(values in at_random for values in drawn[0.5]) <= 10


@pytest.mark.parametrize("rule", ["none", "median", "pbt"])
def test_a_file_that_chooses_no_rule_with_rungs_is_told_so(rule: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_sweep(FILE.replace("RULE", rule))
    (problem,) = caught.value.problems
    assert problem.path == "search.sampler"
    told = f"bohb learns at the rungs of a stopping rule, and `{rule}` has no rungs"
    assert problem.message == told
    assert problem.expected == "`scheduler` one of asha, hyperband"
    with_rungs = FILE.replace("RULE", "{name: hyperband, grace_steps: 30}")
    assert parse_sweep(with_rungs).search.name == "bohb"


@pytest.mark.parametrize("rule", ["asha", "hyperband"])
def test_a_file_whose_first_rung_no_training_reaches_is_told_so(rule: str) -> None:
    late = FILE.replace("RULE", f"{{name: {rule}, grace_steps: 91}}")
    with pytest.raises(SpecError) as caught:
        parse_sweep(late)
    (problem,) = caught.value.problems
    assert (problem.path, problem.expected) == (
        "scheduler.grace_steps",
        "a first rung at step 90 at the latest",
    )
    assert "the first rung of" in problem.message
    longer = late.replace("{batch_size: {values: [16, 32]}}", "{steps: {values: [90, 91]}}")
    assert parse_sweep(longer).search.name == "bohb"
