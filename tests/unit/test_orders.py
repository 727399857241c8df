"""What people ask for single trials: stop it, try it again, run a configuration of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.causes import STOPPED_BY_HAND
from sweeper.scheduling.conducting.steering import Order
from sweeper.search.sampler_view import SamplerView
from sweeper.search.stopping.asha import Asha
from sweeper.standings.progress import progress_of
from sweeper.sweepfile.sections import Seeds
from tests.driven import STEPS, Driven


def begun(folder: Path, parallel: int = 2, trials: int = 4, **changes: Any) -> Driven:
    sweep = Driven(folder, parallel, trials, **changes)
    sweep.begin()
    return sweep


def stop(number: int | None) -> Order:
    return Order("one", "stop", number, reason="its samples are noise", by="anna")


def retry(number: int, *, anew: bool = False) -> Order:
    return Order("two", "retry", number, {"anew": anew})


def test_a_trial_that_is_stopped_has_ended_at_once_and_its_worker_leaves_at_its_next_evaluation(
    tmp_path: Path,
) -> None:
    sweep = begun(tmp_path)
    sweep.report(0)
    assert sweep.conductor.obey(stop(0)) == (
        "trial 00000 is stopped; its worker stops at the next evaluation"
    )
    trial = sweep.ledger.trial(0)
    assert (trial.state, trial.cause, trial.objective) == ("pruned", STOPPED_BY_HAND, None)
    assert trial.reason == "stopped by anna: its samples are noise"
    sweep.hand_out()
    assert sorted(sweep.at_work) == [0, 1]  # nobody has its place before
    sweep.report(0)
    assert sweep.steps(0) == 1
    sweep.hand_out()
    assert sorted(sweep.at_work) == [1, 2]
    sweep.to_the_end()
    standings = sweep.ledger.standings()
    assert progress_of(standings).state == "finished"
    assert [one.state for one in standings.trials] == ["pruned"] + 3 * ["completed"]
    [told] = standings.stops
    assert (told.cause, told.saves) == (STOPPED_BY_HAND, False)


def test_a_trial_that_waits_can_be_stopped_too(tmp_path: Path) -> None:
    sweep = begun(tmp_path)
    sweep.conductor.lease(1)
    sweep.report(1)
    assert sweep.conductor.obey(stop(1)) == "trial 00001 is stopped"
    sweep.to_the_end()
    assert sweep.begun == [0, 1, 2, 3]


def test_the_worker_of_a_stopped_trial_may_die(tmp_path: Path) -> None:
    sweep = begun(tmp_path)
    sweep.conductor.obey(stop(0))
    sweep.conductor.died(0, "its room was gone")
    del sweep.at_work[0]
    sweep.hand_out()
    assert sorted(sweep.at_work) == [1, 2]
    assert sweep.ledger.trial(0).state == "pruned"


def test_no_sampler_learns_from_a_trial_that_somebody_stopped(tmp_path: Path) -> None:
    sweep = begun(tmp_path, scheduler=Asha.Config(grace_steps=1, reduction_factor=2))
    for number in (0, 1):
        sweep.report(number)
    sweep.conductor.obey(stop(0))
    ledger = sweep.ledger
    seen = SamplerView(ledger.sweep, ledger._study).get_trials()
    assert [trial.number for trial in seen] == [1]
    turn = ledger._proposer._turn(ledger._entries.all())
    assert [result.values for result in turn.recall()] == [ledger.trial(1).values]
    assert len(turn.asked) == 2


def test_a_replicate_that_is_stopped_ends_its_round_for_good(tmp_path: Path) -> None:
    seeds = Seeds(confirm_top=1, replicates=2, confirm_base=False)
    sweep = begun(tmp_path, parallel=1, trials=2, seeds=seeds)
    while len(sweep.ledger.trials()) < 3:
        sweep.hand_out()
        sweep.report(min(sweep.at_work))
        sweep.hand_out()
    assert sweep.ledger.trial(2).role == "replicate"
    sweep.conductor.obey(stop(2))
    sweep.report(2)
    trials = sweep.to_the_end()
    assert [trial.state for trial in trials] == ["completed", "completed", "pruned", "completed"]
    again = Driven(tmp_path, 1, 2, seeds=seeds)
    assert again.conductor.finished
    assert progress_of(again.ledger.standings()).state == "finished"


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_a_failed_trial_goes_on_from_its_checkpoint_or_begins_anew(
    anew: bool, killed: bool, tmp_path: Path
) -> None:
    sweep = begun(tmp_path, parallel=1)
    before = dict(sweep.at_work[0].config)
    sweep.report(0)
    sweep.fail(0)
    told = sweep.conductor.obey(retry(0, anew=anew))
    assert told == f"trial 00000 {'begins anew' if anew else 'goes on from its last checkpoint'}"
    if killed:
        sweep = Driven(tmp_path, 1, 4)
        assert "already done" in sweep.conductor.obey(retry(0, anew=anew))
    sweep.begin()
    work = sweep.at_work[0]
    assert (work.config, work.anew) == (before, anew)
    assert work.recorded == (() if anew else (1,))
    sweep.report(0)
    assert not sweep.ledger.begins_anew(0)
    trials = sweep.to_the_end()
    assert [one.number for one in trials] == [0, 2, 3, 4]  # the further entry has used up 1
    assert {one.state for one in trials} == {"completed"}
    assert [one.step for one in trials[0].evaluations] == list(range(1, STEPS + 1))
    assert sweep.begun.count(0) == (1 if killed else 2)


def test_a_trial_that_somebody_stopped_can_be_tried_again_but_not_beside_its_old_worker(
    tmp_path: Path,
) -> None:
    sweep = begun(tmp_path)
    sweep.report(0)
    sweep.conductor.obey(stop(0))
    sweep.conductor.obey(retry(0))
    sweep.hand_out()
    assert sweep.begun == [0, 1]
    sweep.report(0)
    sweep.hand_out()
    assert sweep.begun == [0, 1, 0]
    assert all(trial.state == "completed" for trial in sweep.to_the_end())


def test_a_failure_that_is_tried_again_counts_no_more(tmp_path: Path) -> None:
    sweep = begun(tmp_path)
    sweep.fail(0)
    assert sweep.conductor.pulse.over == 1
    sweep.conductor.obey(retry(0))
    assert sweep.conductor.pulse.over == 0
    assert sweep.ledger.counts()["fail"] == 0


@pytest.mark.parametrize("killed", [False, True])
def test_a_configuration_of_ones_own_runs_next_and_once(killed: bool, tmp_path: Path) -> None:
    sweep = begun(tmp_path, parallel=1)
    order = Order("mine", "enqueue", payload={"x": 0.3})
    assert sweep.conductor.obey(order) == "enqueued as trial 00001, which runs next"
    if killed:
        sweep = Driven(tmp_path, 1, 4)
        assert "already done" in sweep.conductor.obey(order)
    trials = sweep.to_the_end()
    assert [trial.values["x"] for trial in trials].count(0.3) == 1
    assert trials[1].values == {"x": 0.3}
    assert len(trials) == 4


def test_one_that_comes_when_the_budget_is_spent_says_what_lets_it_run(tmp_path: Path) -> None:
    sweep = begun(tmp_path)
    sweep.to_the_end()
    told = sweep.conductor.obey(Order("late", "enqueue", payload={"x": 0.5}))
    assert told == "enqueued as trial 00004, which runs when limits.trials is raised"
    assert sweep.conductor.finished
    more = Driven(tmp_path, 2, 5)
    assert more.to_the_end()[4].values == {"x": 0.5}


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (stop(7), "refused: the sweep has no trial 7"),
        (stop(None), "refused: the sweep has no trial None"),
        (stop(0), "refused: trial 00000 has ended already (completed)"),
        (retry(1), "refused: trial 00001 is not over"),
        (retry(0), "refused: trial 00000 has completed: only trials that failed"),
        (
            Order("a", "enqueue", payload={"xx": 1.0}),
            "refused: 'xx' is not a parameter of this sweep",
        ),
        (Order("a", "enqueue", payload={"x": "much"}), "refused: x: 'much' is not one of"),
        (Order("a", "dance"), "refused: 'dance' is not one of stop, retry, enqueue"),  # type: ignore
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    order: Order, told: str, tmp_path: Path
) -> None:
    sweep = begun(tmp_path)
    for _ in range(STEPS):
        sweep.report(0)
    before = sweep.ledger.trials()
    assert sweep.conductor.obey(order).startswith(told)
    assert sweep.ledger.trials() == before
    assert sweep.ledger.foreign() == []
