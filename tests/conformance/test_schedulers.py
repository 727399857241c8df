"""One suite over every scheduler that stops trials: a race of known curves, killed and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml

from sweeper.errors import SpecError
from sweeper.home import Home, SweepFolder
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.search.stopping_rule import Curve, GraceConfig, StoppingRule
from sweeper.sweepfile import parse_sweep, sweep_from_dict
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.schema import sweep_schema
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.trial import Evaluation, Trial
from trials.part import knob, temporary_parts

SCHEDULERS = tuple(StoppingRule.all())
STOPPING = tuple(
    key for key, rule in StoppingRule.all().items() if rule.verdict is not StoppingRule.verdict
)
GRACE, STEPS, TRIALS, PARALLEL = 2, 18, 20, 4


def sweep(scheduler: str, goal: str = "minimize") -> Sweep:
    config = StoppingRule.named(scheduler).Config
    graced = "grace_steps" in config.model_fields
    return Sweep(
        name="race",
        base={"data": "digits", "steps": STEPS, "evaluation": {"every": 1}},
        parameters=(Parameter("x", Range(0.0, 1.0)),),
        objective=(Objective(metric="fid", goal=goal),),
        search=Random.Config(seed=5, start_with_base=False),
        scheduler=config(grace_steps=GRACE) if graced else config(),
        limits=Limits(trials=TRIALS),
    )


def curve(x: float, step: int, sign: int) -> float:
    """Better with every step, and the better the nearer x is to 0.4; curves do not cross."""
    return sign * (abs(x - 0.4) + 0.05) * (1 + 10 / step)


def race(
    spec: Sweep, folder: SweepFolder, reopen: Callable[[int], bool] = lambda turn: False
) -> list[Trial]:
    """Four trials at a time, one evaluation each in turn, as the run loop would do it."""
    sign = 1 if spec.objective[0].goal == "minimize" else -1
    ledger = Ledger.open(spec, folder)
    running: list[int] = []
    turn = 0
    while True:
        while len(running) < PARALLEL and ledger.counts()["search"] < TRIALS:
            running.append(ledger.ask().number)
        if not running:
            return ledger.trials()
        number = running[turn % len(running)]
        x = ledger.trial(number).values["x"]
        step = ledger.trial(number).steps + 1
        with ledger.together():
            ledger.report(number, Evaluation(step, 1.0, {"fid": curve(x, step, sign)}))
            reason = ledger.scheduler.verdict(number)
            if reason is not None:
                ledger.prune(number, "scheduler", reason)
            elif step == STEPS:
                ledger.complete(number, [curve(x, step, sign)])
        if ledger.trial(number).over:
            running.remove(number)
        turn += 1
        if reopen(turn):
            ledger = Ledger.open(spec, folder)
            assert [asked.number for asked in ledger.interrupted()] == sorted(running)


def essence(records: list[Trial]) -> list[tuple]:
    return [(one.number, one.state, one.values, one.curve("fid"), one.reason) for one in records]


@pytest.fixture
def folders(tmp_path: Path):
    def make(name: str) -> SweepFolder:
        folder = Home(tmp_path / name).sweep("race")
        folder.create()
        return folder

    return make


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_scheduler_decides_the_same_whether_or_not_it_was_stopped_in_between(scheduler, folders):
    straight = race(sweep(scheduler), folders("straight"))
    stopped = race(sweep(scheduler), folders("stopped"), reopen=lambda turn: turn % 11 == 3)
    assert essence(straight) == essence(stopped)


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_scheduler_spares_the_best_and_saves_steps(scheduler, goal, folders):
    records = race(sweep(scheduler, goal), folders("race"))
    assert [one.number for one in records] == list(range(TRIALS))
    assert {one.state for one in records} <= {"completed", "pruned"}
    best = min(records, key=lambda one: abs(one.values["x"] - 0.4))
    assert best.state == "completed"
    taken = sum(one.steps for one in records)
    assert taken < 0.9 * TRIALS * STEPS if scheduler in STOPPING else taken == TRIALS * STEPS


@pytest.mark.parametrize("scheduler", STOPPING)
def test_a_scheduler_stops_nothing_in_its_grace_and_says_why_it_stops(scheduler, folders):
    for one in race(sweep(scheduler), folders("race")):
        if one.state == "pruned":
            assert one.steps >= GRACE
            assert one.cause == "scheduler"
            assert f"step {one.steps}" in one.reason
            assert one.objective is None


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_replicate_is_neither_stopped_nor_compared_with(scheduler, folders):
    folder = folders("race")
    race(sweep(scheduler), folder)
    ledger = Ledger.open(sweep(scheduler), folder)
    replicate = ledger.ask_replicate(of=0, seed=1000).number
    for step in range(1, STEPS + 1):
        ledger.report(replicate, Evaluation(step, 1.0, {"fid": 1e9}))
        assert ledger.scheduler.verdict(replicate) is None
    ledger.complete(replicate, [1e9])
    newcomer = ledger.ask().number
    for step in range(1, STEPS + 1):
        ledger.report(newcomer, Evaluation(step, 1.0, {"fid": 1e8}))
        if ledger.scheduler.verdict(newcomer) is not None:
            break
    assert (ledger.scheduler.verdict(newcomer) is None) == (scheduler not in STOPPING)


def test_a_new_rule_is_one_class_and_nothing_else(folders):
    text = """
name: race
base: {data: digits, steps: 18, evaluation: {every: 1}}
parameters: {batch_size: {min: 16, max: 64}}
search: {sampler: random, start_with_base: false}
scheduler: {name: hopeless, above: 2.0}
limits: {trials: 3}
"""
    with temporary_parts():

        class Hopeless(StoppingRule):
            """A fixed bar."""

            key = "hopeless"
            summary = "stops what is above a bar"

            class Config(GraceConfig):
                above: float = knob(1.0, "the bar", gt=0)

            def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
                last = max(curves[number])
                high = curves[number][last] > self.config.above
                return "above the bar" if high and last >= self.config.grace_steps else None

        spec = parse_sweep(text)
        assert spec.to_dict()["scheduler"] == {"name": "hopeless", "grace_steps": 1, "above": 2.0}
        assert sweep_from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        ledger = Ledger.open(spec, folders("a"))
        for value, reason in ((3.0, "above the bar"), (1.0, None)):
            number = ledger.ask().number
            ledger.report(number, Evaluation(1, 1.0, {"fid": value}))
            assert ledger.scheduler.verdict(number) == reason
        validator = jsonschema.Draft202012Validator(sweep_schema())
        assert validator.is_valid(yaml.safe_load(text))
        assert not validator.is_valid(yaml.safe_load(text.replace("2.0", "-2.0")))
        with pytest.raises(SpecError) as caught:
            parse_sweep(text.replace("hopeless", "hopless"))
        assert [problem.nearest for problem in caught.value.problems] == ["hopeless"]
    with pytest.raises(SpecError, match="there is no stopping rule 'hopeless'"):
        parse_sweep(text)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("asha", {"grace_steps": 40, "reduction_factor": 3}),
        ("hyperband", {"grace_steps": 40, "reduction_factor": 3}),
        ("median", {"grace_steps": 40, "startup_trials": 5}),
        (
            "pbt",
            {"grace_steps": 40, "interval_steps": 40, "quantile": 0.25, "resample": 0.25},
        ),
        (
            {"name": "pbt", "interval_steps": 7},
            {"grace_steps": 7, "interval_steps": 7, "quantile": 0.25, "resample": 0.25},
        ),
    ],
)
def test_what_a_file_leaves_to_the_base_is_written_down_as_a_number(given, written):
    mapping = {
        "name": "race",
        "base": {"data": "digits", "evaluation": {"every": 40}},
        "parameters": {"batch_size": {"min": 16, "max": 64}},
        "scheduler": given if isinstance(given, dict) else {"name": given},
        # As in a stored sweep that does not say.
        "search": {"repeat": True},
        "seeds": {"confirm_base": False},
        "keep": {"checkpoints": "all", "generators": "all"},
        "limits": {"trials": 3},
    }
    name = mapping["scheduler"]["name"]
    spec = sweep_from_dict(mapping)
    assert spec.to_dict()["scheduler"] == {"name": name, **written}
    assert not spec.difference(parse_sweep(json.dumps(mapping)))
