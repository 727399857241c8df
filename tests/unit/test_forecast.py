"""What a sweep still takes, learnt from its own trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sweeper.search.samplers.random import Random
from sweeper.standings import standings_of
from sweeper.standings.forecast import Forecast, forecast_of
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.sections import Limits, Seeds
from sweeper.trial import Evaluation, Trial

SWEEP = Sweep(
    name="forecast",
    base={"steps": 100},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=10),
    resources=Resources(cpu=2, gpu=0.5),
)


def trial(number: int, steps: int = 100, *, rate: float = 36.0, **fields: Any) -> Trial:
    """One that took `rate` seconds a step from the time 0 on; evaluated every 10 steps."""
    evaluations = tuple(
        Evaluation(step, rate * step, {"fid": 1.0}) for step in range(10, steps + 1, 10)
    )
    given = {"state": "completed", "objective": (1.0,), "started": 0.0, "attempts": 1, **fields}
    return Trial(number, config={"steps": 100}, evaluations=evaluations, **given)


def forecast(*trials: Trial, **changes: Any) -> Forecast:
    return forecast_of(standings_of(replace(SWEEP, **changes), trials))


def test_trials_that_are_alike_cost_what_they_have_cost() -> None:
    found = forecast(*map(trial, range(4)))
    assert (found.trials, found.replicates) == (6, 0)
    assert found.seconds.expected == found.seconds.low == found.seconds.high == 6 * 3600
    assert (found.gpu_hours.expected, found.cpu_hours.expected) == (3.0, 12.0)
    assert found.in_words() == "about 6 h (6 h to 6 h), 3 GPU hours, 12 CPU hours"
    halved = forecast(*map(trial, range(4)), limits=Limits(trials=10, parallel=2))
    assert halved.seconds.expected == 3 * 3600
    assert halved.gpu_hours == found.gpu_hours


def test_trials_that_share_machines_count_with_their_shares_and_as_many_as_fit() -> None:
    auto: dict[str, Any] = {
        "resources": Resources(cpu=1, gpu="auto"),
        "limits": Limits(trials=10, parallel=8),
    }
    share = {"cpu": 1.0, "gpu": 0.125, "memory": 0}
    done = [trial(number, given=share) for number in range(4)]
    found = forecast(*done, **auto)
    assert found.gpu_hours.expected == 6 * 0.125
    assert found.seconds.expected == 3600
    assert forecast(*map(trial, range(4)), **auto).gpu_hours.expected == 6  # nothing is known
    running = [trial(n, 0, state="running", objective=None) for n in range(4, 7)]
    assert forecast(*done, *running, **auto).seconds.expected == 2 * 3600


def test_early_stopping_is_in_it_and_so_is_what_runs_now() -> None:
    early = [trial(n, 20, state="pruned", cause="scheduler", objective=None) for n in range(3)]
    found = forecast(trial(3), *early)
    mean = (100 + 3 * 20) / 4 * 36
    assert found.seconds.expected == pytest.approx(6 * mean)
    assert found.seconds.low < found.seconds.expected < found.seconds.high
    begun = trial(4, 10, state="running", objective=None)
    assert forecast(trial(3), *early, begun).seconds.expected == pytest.approx(6 * mean - 360)


def test_a_night_between_two_runs_and_a_retry_count_for_nothing() -> None:
    straight, torn = trial(0), trial(1, attempts=3)
    night = [
        replace(one, time=one.time + (80_000 if one.step > 50 else 0)) for one in torn.evaluations
    ]
    found = forecast(straight, replace(torn, started=-50_000.0, evaluations=tuple(night)))
    assert found.seconds.expected == pytest.approx(8 * 3600)


def test_replicates_run_to_their_last_step_and_are_learnt_from_when_there_are_any() -> None:
    seeds = Seeds(confirm_top=2, replicates=3, confirm_base=False)
    done = [trial(n, 50, state="pruned", objective=None) for n in range(9)] + [trial(9)]
    before = forecast(*done, seeds=seeds)
    assert (before.trials, before.replicates) == (0, 6)
    assert before.seconds.expected == pytest.approx(6 * 3600)
    again = [trial(n, rate=72.0, role="replicate", of=9) for n in (10, 11)]
    assert forecast(*done, *again, seeds=seeds).seconds.expected == pytest.approx(4 * 7200)


def test_the_range_holds_what_comes_nine_times_in_ten() -> None:
    import random

    dice, held = random.Random(0), 0
    for _ in range(400):
        steps = [dice.choice([10, 30, 100]) for _ in range(40)]
        found = forecast(
            *(trial(n, steps[n]) for n in range(20)), limits=Limits(trials=40, parallel=1)
        )
        held += found.seconds.low <= 36 * sum(steps[20:]) <= found.seconds.high
    assert 340 <= held <= 385


def test_where_nothing_can_be_known_the_reason_is_told() -> None:
    assert forecast().in_words() == "not known before a trial was evaluated"
    assert forecast(Trial(0, "running")).seconds is None
    unlimited = forecast(trial(0), limits=Limits())
    assert unlimited.in_words() == "not known: nothing limits its trials"


def test_a_sweep_that_is_over_takes_nothing() -> None:
    assert forecast(*map(trial, range(10))).in_words() == "nothing"
