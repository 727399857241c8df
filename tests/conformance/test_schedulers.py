"""One suite over every scheduler that stops trials: a race of known curves, killed and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.home import Home, SweepFolder
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective, SchedulerSpec
from sweeper.trial import Evaluation, Trial

SCHEDULERS = ("none", "asha", "hyperband", "median")
GRACE, STEPS, TRIALS, PARALLEL = 2, 18, 20, 4


def sweep(scheduler: str, goal: str = "minimize") -> Sweep:
    options = {} if scheduler == "none" else {"grace_steps": GRACE}
    return Sweep(
        name="race",
        base={"data": "digits", "steps": STEPS, "evaluation": {"every": 1}},
        parameters=(Parameter("x", Range(0.0, 1.0)),),
        objective=(Objective(metric="fid", goal=goal),),
        search=Random.Config(seed=5, start_with_base=False),
        scheduler=SchedulerSpec(name=scheduler, **options),
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
            reason = ledger.verdict(number)
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
    assert taken == TRIALS * STEPS if scheduler == "none" else taken < 0.9 * TRIALS * STEPS


@pytest.mark.parametrize("scheduler", SCHEDULERS[1:])
def test_a_scheduler_stops_nothing_in_its_grace_and_says_why_it_stops(scheduler, folders):
    for one in race(sweep(scheduler), folders("race")):
        if one.state == "pruned":
            assert one.steps >= GRACE
            assert one.symptom == "scheduler"
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
        assert ledger.verdict(replicate) is None
    ledger.complete(replicate, [1e9])
    newcomer = ledger.ask().number
    for step in range(1, STEPS + 1):
        ledger.report(newcomer, Evaluation(step, 1.0, {"fid": 1e8}))
        if ledger.verdict(newcomer) is not None:
            break
    assert (ledger.verdict(newcomer) is None) == (scheduler == "none")
