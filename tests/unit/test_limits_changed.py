"""Other limits for a sweep that runs: they count from the next look on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.scheduling.recording.events import LimitsChanged, TrialEnded
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.sections import Limits
from tests.driven import Driven


def values(sweep: Driven) -> list[Any]:
    return [trial.values for trial in sweep.to_the_end()]


@pytest.mark.parametrize("after", [0, 3])
def test_one_at_a_time_a_sweep_whose_limit_was_raised_is_the_one_that_began_with_it(
    after: int, tmp_path: Path
) -> None:
    straight = values(Driven(tmp_path / "straight", 1, 6))
    sweep = Driven(tmp_path / "raised", 1, 4)
    sweep.begin()
    while sweep.ledger.counts()["complete"] < after:
        sweep.hand_out()
        sweep.report(min(sweep.at_work))
    sweep.conductor.within(Limits(trials=6, parallel=1))
    assert values(sweep) == straight
    assert sweep.ledger.planned == 6
    [told] = [event for event in sweep.heard if isinstance(event, LimitsChanged)]
    assert (told.message, told.budget) == ("limits.trials is 6 now", 6)


def test_a_lower_limit_asks_for_no_more_and_ends_nothing_that_runs(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 2, 9)
    sweep.begin()
    sweep.conductor.within(Limits(trials=1, parallel=2))
    sweep.hand_out()
    assert sorted(sweep.at_work) == [0, 1]
    assert len(values(sweep)) == 2
    assert sweep.conductor.complete


def test_as_many_may_be_at_work_as_the_limit_says_now(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 2, 9)
    sweep.begin()
    sweep.conductor.within(Limits(trials=9, parallel=4))
    sweep.hand_out()
    assert sorted(sweep.at_work) == [0, 1, 2, 3]
    assert sweep.conductor.pulse.could == 4
    sweep.conductor.lease(3)
    sweep.conductor.within(Limits(trials=9, parallel=1))
    for number in (0, 1, 2, 3):
        sweep.report(number)
    assert sorted(sweep.at_work) == [0]
    made_way = [event for event in sweep.heard if isinstance(event, TrialEnded)]
    assert {event.state for event in made_way} == {"interrupted"}


@pytest.mark.parametrize("landing", ["finish", "evaluation"])
def test_hours_that_are_raised_in_time_end_nothing(landing: Any, tmp_path: Path) -> None:
    hours = Limits(trials=3, parallel=1, cpu_hours=1e-9, landing=landing)
    sweep = Driven(tmp_path, 1, 3, limits=hours)
    sweep.begin()
    sweep.conductor.look()
    sweep.conductor.look()
    assert sweep.conductor.halting.halt
    sweep.conductor.within(hours.model_copy(update={"cpu_hours": None}))
    assert not sweep.conductor.halting.halt
    assert len(sweep.to_the_end()) == 3


def test_a_trial_that_the_hours_have_interrupted_goes_on_where_they_are_raised_in_time(
    tmp_path: Path,
) -> None:
    hours = Limits(trials=2, parallel=2, cpu_hours=1e-9, landing="evaluation")
    sweep = Driven(tmp_path, 2, 2, limits=hours)
    sweep.begin()
    sweep.conductor.look()
    sweep.conductor.look()
    sweep.report(0)
    assert sorted(sweep.at_work) == [1]
    sweep.conductor.within(hours.model_copy(update={"cpu_hours": None}))
    sweep.hand_out()
    assert sweep.at_work[0].recorded == (1,)
    assert [trial.state for trial in sweep.to_the_end()] == ["completed", "completed"]


def test_a_stop_that_somebody_asked_for_is_not_lifted_by_a_limit(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 1, 3)
    sweep.begin()
    sweep.conductor.halting.stop("no_new", "stopped on request")
    sweep.conductor.within(Limits(trials=5))
    assert sweep.conductor.halting.halt == "no_new"


def test_so_many_may_fail_as_the_limit_says_now(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 1, 4)
    sweep.begin()
    sweep.report(0)  # something works, so that failures are the trials' own
    sweep.fail(0)
    sweep.conductor.within(Limits(trials=4, failed=1))
    assert sweep.conductor.halting.too_many_failed
    sweep.conductor.within(Limits(trials=4, failed=3))
    assert not sweep.conductor.halting.too_many_failed
    assert len(sweep.to_the_end()) == 4


def test_the_kept_sweep_has_the_limits_that_hold(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 1, 4)
    sweep.conductor.within(Limits(trials=4, hours=2.0))
    assert read_stored(sweep.place.spec_json).limits.hours == 2.0
