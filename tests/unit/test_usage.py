"""What a sweep uses is metered while trials are at work, outlives a kill, and ends at its limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.scheduling.conducting import meter
from sweeper.scheduling.working.messages import REHEARSAL
from sweeper.standings.usage import Usage
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.sections import Limits
from tests.driven import Driven


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(meter.Meter.__init__, "__defaults__", (clock,))
    return clock


def driven(folder: Path, clock: Clock, **limits: Any) -> Driven:
    given = Limits(**{"trials": 4, "parallel": 2, **limits})
    sweep = Driven(folder, 2, 4, limits=given, resources=Resources(cpu=3, gpu=0.5))
    sweep.conductor.look()
    sweep.begin()
    return sweep


def passes(sweep: Driven, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    sweep.conductor.look()


def test_each_trial_counts_with_its_resources_while_it_is_at_work(
    tmp_path: Path, clock: Clock
) -> None:
    sweep = driven(tmp_path, clock)
    passes(sweep, clock, 10)
    sweep.conductor.lease(1)
    sweep.report(1)  # makes way
    passes(sweep, clock, 10)
    assert sweep.conductor.meter.used == Usage(20.0, 3 * 5.0, 3 * 30.0)
    sweep.conductor.lease(0)
    sweep.report(0)
    passes(sweep, clock, 1000)  # waits for its turn
    sweep.conductor.lease(None)
    sweep.conductor.halting.pause(True)
    passes(sweep, clock, 1000)
    assert sweep.conductor.meter.used == Usage(20.0, 15.0, 90.0)


def test_a_kill_loses_what_was_used_since_the_last_evaluation_and_no_more(
    tmp_path: Path, clock: Clock
) -> None:
    sweep = driven(tmp_path, clock)
    clock.now += 10
    sweep.report(0)
    clock.now += 7
    again = Driven(tmp_path, 2, 4)
    assert again.ledger.used == again.conductor.meter.used == Usage(10.0, 10.0, 60.0)


@pytest.mark.parametrize("landing", ["finish", "evaluation"])
@pytest.mark.parametrize("limit", ["hours", "gpu_hours", "cpu_hours"])
def test_a_limit_of_hours_lands_softly_and_can_be_raised(
    limit: str, landing: str, tmp_path: Path, clock: Clock
) -> None:
    limits = {limit: 1.0, "landing": landing}
    sweep = driven(tmp_path, clock, **limits)
    passes(sweep, clock, 3600)
    sweep.report(0)
    assert (0 in sweep.at_work) == (landing == "finish")
    while sweep.at_work:
        sweep.report(min(sweep.at_work))
        sweep.hand_out()
    assert sweep.conductor.finished
    assert f"limits.{limit} (1) has been reached" in sweep.conductor.halting.message
    assert sweep.begun == [0, 1]
    again = Driven(tmp_path, 2, 4, limits=Limits(trials=4, parallel=2, **limits))
    assert again.conductor.finished  # without a look at anything
    raised = Driven(tmp_path, 2, 4, limits=Limits(trials=4, parallel=2, **{**limits, limit: 9.0}))
    assert REHEARSAL not in raised.at_work
    assert [trial.state for trial in raised.to_the_end()] == ["completed"] * 4
