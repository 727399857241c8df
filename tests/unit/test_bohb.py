"""The model of a search that stops early is made of the values at one step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.bohb import Bohb
from sweeper.search.stopping.asha import Asha
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.trial import Evaluation

SWEEP = Sweep(
    name="rungs",
    base={"data": {"name": "digits"}, "steps": 90},
    parameters=tuple(
        Parameter(f"optimizer.{player}.beta1", Range(0.0, 1.0))
        for player in ("generator", "discriminator")
    ),
    search=Bohb.Config(start_with_base=False),
    scheduler=Asha.Config(grace_steps=10, reduction_factor=3),
    limits=Limits(trials=1000),
)


def trial(number: int, curve: dict[int, float], state: TrialState) -> FrozenTrial:
    values = [curve[max(curve)]] if state == TrialState.COMPLETE else None
    made = create_trial(
        state=state,
        values=values,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        user_attrs={"role": "search"},
        intermediate_values=curve,
    )
    made.number = number
    return made


def test_it_models_the_highest_step_that_enough_trials_have_reached() -> None:
    sampler = Bohb(SWEEP.search, SWEEP)  # of two parameters: three trials are enough
    ended = [trial(0, {10: 9.0, 30: 5.0, 90: 3.0}, TrialState.COMPLETE)]
    runs = [trial(1, {10: 7.0, 30: 4.0}, TrialState.RUNNING)]
    begun = [trial(2, {}, TrialState.RUNNING)]
    assert sampler.seen([*ended, *runs, *begun]) == []  # all is left to chance
    stopped = [trial(3, {10: 8.0}, TrialState.PRUNED), trial(4, {10: 6.0}, TrialState.PRUNED)]
    seen = sampler.seen([*ended, *runs, *begun, *stopped])
    assert [one.values for one in seen] == [[9.0], [7.0], None, [8.0], [6.0]]
    further = [trial(5, {10: 6.5, 30: 4.5}, TrialState.PRUNED)]
    seen = sampler.seen([*ended, *runs, *begun, *stopped, *further])
    assert [one.values for one in seen] == [[5.0], [4.0], None, None, None, [4.5]]
    assert [one.state for one in seen][2:5] == [
        TrialState.RUNNING,
        TrialState.PRUNED,
        TrialState.PRUNED,
    ]


def test_a_broken_trial_is_a_bad_one_at_every_step() -> None:
    sampler = Bohb(SWEEP.search, SWEEP)
    broken = trial(0, {10: 1.0, 30: 0.5}, TrialState.FAIL)
    broken.user_attrs = {"role": "search", "end": {"state": "failed", "symptom": "divergence"}}
    others = [trial(number, {10: 5.0 + number}, TrialState.PRUNED) for number in range(1, 5)]
    [bad, *rest] = sampler.seen([broken, *others])
    assert (bad.state, bad.values, bad.intermediate_values) == (TrialState.PRUNED, None, {})
    assert [one.values for one in rest] == [[6.0], [7.0], [8.0], [9.0]]


def test_it_goes_where_the_first_rungs_were_good_also_for_a_goal_that_is_maximised(
    tmp_path: Path,
) -> None:
    for goal in ("minimize", "maximize"):
        folder = Home(tmp_path / goal).sweep("rungs")
        folder.create()
        objective = (Objective(metric="fid", goal=goal),)
        search = Bohb.Config(start_with_base=False, chance=0.0)
        ledger = Ledger.open(replace(SWEEP, objective=objective, search=search), folder)
        near = []
        for _ in range(40):
            asked = ledger.ask()
            assert asked is not None
            ledger.started(asked.number)
            far = sum((float(value) - 0.2) ** 2 for value in asked.values.values())
            near.append(far < 0.1)
            value = far if goal == "minimize" else 1.0 - far
            with ledger.together(waits=False):
                ledger.report(asked.number, Evaluation(10, 1.0, {"fid": value}))
                ledger.prune(asked.number, "scheduler", "not among the best")
        # Of the plane 0.3 lies there.
        assert sum(near[:10]) < sum(near[-10:]), (goal, near)
        assert sum(near[-10:]) >= 7, (goal, near)
