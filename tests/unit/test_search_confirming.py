"""Which configurations are confirmed, on which seeds, and when one gets no more of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.cli.leaderboard import print_leaderboard
from sweeper.cli.live import Lines
from sweeper.errors import SpecError
from sweeper.home import Home
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.events import Event, PhaseChanged, TrialEnded
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.messages import REHEARSAL, Failure, Report, Work
from sweeper.search.budget import budget_of
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.grid import Grid
from sweeper.standings import standings_of
from sweeper.standings.confirming import base_replicates_due, replicates_due
from sweeper.sweepfile import load_sweep
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective, Seeds
from sweeper.sweepfile.seeding import BEYOND, replicate_seeds
from sweeper.trial import Evaluation, Trial
from trials.config import problems_of

SWEEP = Sweep(
    name="probe",
    base={},
    parameters=(Parameter("x", Values((1, 2, 3, 4))), Parameter("seed", Values((0, 1001)))),
    seeds=Seeds(confirm_top=2, replicates=3),
)


def record(number: int, x: int, seed: int, value: float | None, **fields: object) -> Trial:
    state = "failed" if value is None else "completed"
    objective = None if value is None else (value,)
    config = {"x": x, "seed": seed}
    return Trial(number, state, config=config, objective=objective, **fields)


SEARCH = [
    record(0, 1, 0, 5.0, role="base"),
    record(1, 2, 0, 1.0),
    record(2, 2, 1001, 2.0),
    record(3, 3, 0, 3.0),
    record(4, 4, 0, None),
]


def test_replicates_get_seeds_that_the_search_cannot_have_used():
    assert replicate_seeds(SWEEP) == [1000, 1002, 1003]


@pytest.mark.parametrize(
    ("searched", "fresh"),
    [
        (Range(0, 2**31 - 1, step=1, integer=True), [2**31, 2**31 + 1, 2**31 + 2]),
        (Range(1, 2**40, log=True, step=1, integer=True), [2**40 + 1, 2**40 + 2, 2**40 + 3]),
        (Range(1001, 2**31, step=1, integer=True), [1000, 2**31 + 1, 2**31 + 2]),
        (Range(0, 2**31, step=2, integer=True), [1001, 1003, 1005]),
    ],
)
def test_fresh_seeds_are_found_beyond_a_range_of_billions(searched, fresh):
    sweep = replace(SWEEP, parameters=(Parameter("seed", searched),))
    assert replicate_seeds(sweep) == fresh


def test_a_search_that_leaves_too_few_seeds_to_confirm_on_is_refused():
    assert not problems_of({"data": "digits", "seed": BEYOND - 1})
    assert problems_of({"data": "digits", "seed": BEYOND})

    def read(last, **seeds):
        return load_sweep(
            {
                "name": "s",
                "base": {"data": "digits"},
                "parameters": {"seed": {"min": 0, "max": last}},
                "seeds": {"replicates": 3, **seeds},
                "limits": {"trials": 4},
            }
        )

    assert replicate_seeds(read(BEYOND - 4, confirm_top=1))[-1] == BEYOND - 1
    assert read(BEYOND - 3).seeds.confirm_top == 0
    with pytest.raises(SpecError, match=r"parameters\.seed: leaves fewer than 3 seeds"):
        read(BEYOND - 3, confirm_top=1)


def test_a_configuration_found_with_several_seeds_is_confirmed_once():
    due = replicates_due(standings_of(SWEEP, SEARCH))
    assert due == [(of, seed) for seed in (1000, 1002, 1003) for of in (1, 3, 0)]


def test_only_what_is_missing_is_due():
    done = [
        record(5, 2, 1000, 1.5, role="replicate", of=1),
        record(6, 3, 1000, None, role="replicate", of=3, cause="divergence"),
        record(7, 2, 1002, None, role="replicate", of=1, cause="worker_died"),
    ]
    due = replicates_due(standings_of(SWEEP, [*SEARCH, *done]))
    assert due == [(0, 1000), *((of, seed) for seed in (1002, 1003) for of in (1, 3, 0))]


def test_what_is_running_is_not_due_again():
    running = Trial(
        5, "running", role="replicate", of=1, config={"x": 2, "seed": 1000}, objective=None
    )
    assert (1, 1000) not in replicates_due(standings_of(SWEEP, [*SEARCH, running]))
    assert (3, 1000) in replicates_due(standings_of(SWEEP, [*SEARCH, running]))


def test_with_two_objectives_nobody_is_given_up():
    two = replace(SWEEP, objective=(Objective(metric="fid"), Objective(metric="kid")))
    points = {0: (1.0, 3.0), 1: (3.0, 1.0)}
    records = [
        Trial(x, "completed", config={"x": x, "seed": 0}, objective=points[x]) for x in (0, 1)
    ]
    assert len(replicates_due(standings_of(two, records))) == 2 * 3


def test_with_two_objectives_what_nobody_dominates_comes_first():
    two = replace(SWEEP, objective=(Objective(metric="fid"), Objective(metric="kid")))
    points = [(1.0, 9.0), (2.0, 2.0), (3.0, 3.0), (9.0, 1.0)]
    records = [Trial(number, "completed", objective=point) for number, point in enumerate(points)]
    assert [one.number for one in standings_of(two, records).by_search] == [0, 1, 3, 2]


# The loop ---------------------------------------------------------------------------------------

RACED = Sweep(
    name="raced",
    base={"steps": 1, "seed": 0},
    parameters=(Parameter("x", Values((1, 2, 3, 9))),),
    objective=(Objective(metric="fid"),),
    search=Grid.Config(start_with_base=False),
    seeds=Seeds(confirm_top=3, replicates=6),
    limits=Limits(parallel=2),
)
"""Confirms x = 1, 2 and 3, of which 3 is hopeless: it was lucky in the search."""

LUCKY_SEED = 0


def x_of(config: Mapping[str, int]) -> int:
    """What is searched: a name of the test's own, or one that the trainer knows."""
    return config.get("x") or config["batch_size"]


def value(config: dict[str, int]) -> float:
    """1 and 2 are alike; 3 is worse by far on every seed but the search's."""
    x, seed = x_of(config), config["seed"]
    noise = ((seed * 7 + x * 3) % 11) / 11
    lucky = seed == LUCKY_SEED and x == 3
    return noise + (0.5 if lucky else 40.0 if x == 9 else 20.0 if x == 3 else 0.0)


class Killed(Exception):  # noqa: N818 - what happened
    """The driver is gone."""


def play(
    home: Path,
    *,
    kill_after: int | None = None,
    dies: tuple[int, int] | None = None,
    spec: Sweep = RACED,
) -> tuple[list[Trial], list[Event]]:
    """Run `spec` without Ray: two workers that answer at once; `dies` is an (x, seed) that cannot
    be trained for want of a worker."""
    folder = Home.at(home).sweep(spec.name)
    folder.create()
    ledger = Ledger.open(spec, folder)
    events: list[Event] = []
    conductor = Conductor(spec, folder, ledger, Recorder(spec, folder, None), events.append)
    turns = 0
    while not conductor.finished:
        works = [work for work in (conductor.next_work(), conductor.next_work()) if work]
        for work in reversed(works):  # they do not end in the order in which they began
            turns += 1
            if turns == kill_after:
                raise Killed
            answer(conductor, work, dies)
    assert conductor.complete
    return ledger.trials(), events


def answer(conductor: Conductor, work: Work, dies: tuple[int, int] | None) -> None:
    if work.number == REHEARSAL:
        conductor.heard(REHEARSAL, Report(finished=True))
        return
    conductor.started(work.number)
    config = dict(work.config)
    if (x_of(config), config["seed"]) == dies:
        conductor.heard(work.number, Report(finished=True, failure=Failure("worker_died", "gone")))
        return
    evaluation = Evaluation(1, 0.0, {"fid": value(config)})
    conductor.heard(work.number, Report(evaluations=(evaluation,), finished=True))


def replicates(records: list[Trial]) -> dict[tuple[int, int], tuple[float, ...] | None]:
    """(x, seed) → value of every replicate."""
    return {
        (x_of(one.config), one.config["seed"]): one.objective
        for one in records
        if one.role == "replicate" and one.cause != "worker_died"
    }


def test_a_configuration_that_can_no_longer_win_gets_no_more_replicates(tmp_path):
    records, events = play(tmp_path)
    counts = {x: sum(key[0] == x for key in replicates(records)) for x in (1, 2, 3, 9)}
    assert counts == {1: 6, 2: 6, 3: 3, 9: 0}
    (lost,) = standings_of(RACED, records).race.given_up
    said = [one.message for one in events if isinstance(one, PhaseChanged)]
    assert f"trial {lost.key} is given up: {lost.reason}" in said
    assert "after 3 seeds" in lost.reason
    standings = standings_of(RACED, records)
    (loser,) = (one for one in standings.order if one.confirmed and one.confirmed.given_up)
    assert loser.trial.config["x"] == 3
    assert loser.confirmed.count == 3
    assert loser.rank == 3


@pytest.mark.parametrize("moment", [*range(2, 19, 3), 19])
def test_a_race_that_was_killed_at_any_moment_decides_the_same(tmp_path, moment):
    straight, _ = play(tmp_path / "straight")
    with pytest.raises(Killed):
        play(tmp_path / "killed", kill_after=moment)
    resumed, _ = play(tmp_path / "killed")
    assert replicates(resumed) == replicates(straight)
    again, _ = play(tmp_path / "killed")
    assert again == resumed


def test_a_seed_lost_with_its_worker_is_held_again_by_the_next_run(tmp_path):
    records, _ = play(tmp_path, dies=(1, 1001))
    assert (1, 1001) not in replicates(records)
    assert {(1, 1005), (2, 1005)} <= replicates(records).keys()
    resumed, _ = play(tmp_path)
    straight, _ = play(tmp_path / "straight")
    assert replicates(straight).items() <= replicates(resumed).items()
    assert standings_of(RACED, resumed).race == standings_of(RACED, straight).race


def test_more_replicates_later_run_only_what_is_missing(tmp_path):
    play(tmp_path)
    more = replace(RACED, seeds=Seeds(confirm_top=3, replicates=8))
    records, _ = play(tmp_path, spec=more)
    straight, _ = play(tmp_path / "straight", spec=more)
    assert replicates(records) == replicates(straight)
    assert sum(one.role == "replicate" for one in records) == len(replicates(records))


def test_the_leaderboard_shows_the_confirmed_first_with_both_numbers(tmp_path, capsys):
    records, _ = play(tmp_path)
    luckiest = next(one for one in records if one.role != "replicate" and one.config["x"] == 3)
    records[luckiest.number] = replace(luckiest, objective=(0.0,))
    standings = standings_of(RACED, records)
    assert standings.by_search[0].config["x"] == 3
    assert [one.trial.config["x"] for one in standings.order][2:] == [3, 9]
    print_leaderboard(standings, 4)
    _, *lines = capsys.readouterr().out.splitlines()
    mean = fmean(value({"x": 3, "seed": seed}) for seed in replicate_seeds(RACED)[:3])
    assert f"{mean:.4g} ±" in lines[2]
    assert "(3)" in lines[2]
    assert "(6)" in lines[0]
    assert "±" not in lines[3]


def test_trials_of_one_pareto_front_share_a_place(capsys):
    both = (
        Objective(metric="precision", goal="maximize"),
        Objective(metric="recall", goal="maximize"),
    )
    values = [(0.2, 0.2), (0.5, 0.4), (0.4, 0.6)]
    trials = [replace(record(n, n, 0, 1.0), objective=pair) for n, pair in enumerate(values)]
    standings = standings_of(replace(RACED, objective=both), trials)
    print_leaderboard(standings, 3)
    _, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [line[:2] for line in lines] == [["1", "00001"], ["1", "00002"], ["2", "00000"]]


def test_an_ablation_is_led_by_its_best_cell_over_all_seeds_not_by_the_luckiest_run(capsys):
    study = replace(RACED, ablation=LeaveOneOut.Config())
    steady = [record(n, 1, n, 2.0 + n / 10, cell="without ema", role="replicate") for n in range(3)]
    lucky = [
        record(3, 2, 0, 1.0, cell="full"),
        record(4, 2, 1, 5.0, cell="full", role="replicate"),
        record(5, 2, 2, None, cell="full", role="replicate"),
    ]
    print_leaderboard(standings_of(study, lucky + steady), 5)
    titles, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert titles == ["#", "fid", "failed", "cell"]
    assert first == ["1", "2.1", "±", "0.1", "(3)", "0", "without", "ema"]
    assert second == ["2", "3", "±", "2.8", "(2)", "1", "full"]


def test_no_single_run_of_an_ablation_is_told_to_be_the_best(capsys):
    ended = TrialEnded(1, "completed", None, None, 0.0, record(1, 2, 0, 1.0))
    for study, best in (
        (RACED, True),
        (replace(RACED, ablation=LeaveOneOut.Config()), False),
    ):
        Lines(study)(ended)
        assert ("best fid 1" in capsys.readouterr().out) == best


# The base among them ----------------------------------------------------------------------------

WITH_BASE = replace(
    RACED,
    base={"data": "digits", "steps": 1, "seed": 0, "batch_size": 9},
    parameters=(Parameter("batch_size", Values((1, 2, 3))),),
    search=Grid.Config(),
    seeds=Seeds(confirm_top=2, replicates=4),
)
"""Confirms two of 1, 2 and the lucky 3, and the base, 9, which is the worst by far."""


def test_the_base_runs_on_every_fresh_seed_of_the_best_however_bad_it_is(tmp_path):
    assert WITH_BASE.replicates(budget_of(WITH_BASE)) == 3 * 4
    records, _ = play(tmp_path, spec=WITH_BASE)
    seeds = set(replicate_seeds(WITH_BASE))
    held = replicates(records)
    assert {seed for x, seed in held if x == 9} == seeds
    winner = standings_of(WITH_BASE, records).best.trial.config["batch_size"]
    assert {seed for x, seed in held if x == winner} == seeds
    assert standings_of(WITH_BASE, records).race.over


def test_while_the_search_goes_on_the_bases_seeds_alone_are_due():
    with_base = replace(SWEEP, seeds=Seeds(confirm_top=2, replicates=3))
    done = [record(5, 1, 1000, 5.5, role="replicate", of=0)]
    running = Trial(
        6, "running", role="replicate", of=0, config={"x": 1, "seed": 1002}, objective=None
    )
    assert base_replicates_due(standings_of(with_base, SEARCH)) == [
        (0, seed) for seed in replicate_seeds(SWEEP)
    ]
    later = standings_of(with_base, [*SEARCH, *done, running])
    assert base_replicates_due(later) == [(0, 1003)]
    assert base_replicates_due(later, without={1003}) == []
    without = replace(SWEEP, seeds=Seeds(confirm_top=2, replicates=3, confirm_base=False))
    assert base_replicates_due(standings_of(without, SEARCH)) == []
    unknown = [record(0, 1, 0, None, role="base"), *SEARCH[1:]]
    assert base_replicates_due(standings_of(with_base, unknown)) == []


def test_the_bases_seeds_alone_make_it_no_leader():
    early = [record(5, 1, 1000, 0.5, role="replicate", of=0)]
    standings = standings_of(SWEEP, [*SEARCH, *early])
    assert [one.trial.number for one in standings.ranked] == [1, 2, 3, 0]
    assert standings.best.confirmed is None
    both = [*early, record(6, 2, 1000, 1.5, role="replicate", of=1)]
    assert standings_of(SWEEP, [*SEARCH, *both]).best.confirmed is not None
    leads = [record(0, 1, 0, 0.1, role="base"), *SEARCH[1:2]]
    one_alone = replace(SWEEP, seeds=Seeds(confirm_top=1, replicates=3))
    confirmed = standings_of(one_alone, [*leads, *early]).best
    assert (confirmed.trial.number, confirmed.confirmed.count) == (0, 1)


def test_a_worker_that_the_search_has_nothing_for_runs_the_bases_seeds(tmp_path):
    """Two workers, one of which keeps the search's last trial until the other has nothing to do;
    a kill meanwhile changes nothing."""
    folder = Home.at(tmp_path / "slow").sweep(WITH_BASE.name)
    folder.create()
    slow: Work | None = None
    early: list[int] = []
    for life in range(3):
        ledger = Ledger.open(WITH_BASE, folder)
        conductor = Conductor(
            WITH_BASE, folder, ledger, Recorder(WITH_BASE, folder, None), lambda event: None
        )
        slow = None
        while not conductor.finished:
            work = conductor.next_work()
            if work is None:
                assert slow is not None, "nothing to do, and nothing at work"
                assert not conductor.complete
                answer(conductor, slow, None)
                slow = None
            elif work.number == 3:
                slow = work
            else:
                if slow is not None:
                    early.append(work.number)
                    if life < 2 and len(early) == 1 + 2 * life:
                        break  # killed, with a replicate handed out
                answer(conductor, work, None)
    records = ledger.trials()
    bases = [one for one in records if one.role == "replicate" and x_of(one.config) == 9]
    assert {one.number for one in bases} <= set(early)
    assert len(bases) == len(replicate_seeds(WITH_BASE))
    straight, _ = play(tmp_path / "straight", spec=WITH_BASE)
    assert replicates(records) == replicates(straight)
    assert standings_of(WITH_BASE, records).race == standings_of(WITH_BASE, straight).race


def test_without_a_base_to_confirm_the_race_is_that_of_the_best_alone(tmp_path):
    alone = replace(WITH_BASE, seeds=Seeds(confirm_top=2, replicates=4, confirm_base=False))
    unstarted = replace(WITH_BASE, search=Grid.Config(start_with_base=False))
    for spec in (alone, unstarted):
        assert spec.replicates(budget_of(spec)) == 2 * 4
        records, _ = play(tmp_path / str(spec.search.start_with_base), spec=spec)
        assert not any(x == 9 for x, _ in replicates(records))
    assert Sweep(name="a", base={}, parameters=(), seeds=Seeds()).replicates(None) == 0


def test_a_base_that_is_among_the_best_is_raced_once():
    lucky = replace(SWEEP, seeds=Seeds(confirm_top=3, replicates=3))
    assert lucky.replicates(budget_of(lucky)) == 4 * 3
    due = replicates_due(standings_of(lucky, SEARCH))
    assert due == [(of, seed) for seed in replicate_seeds(lucky) for of in (1, 3, 0)]
    # So is one that the search has found again on another seed.
    again = record(5, 1, 1001, 0.5)
    due = replicates_due(standings_of(lucky, [*SEARCH, again]))
    assert {of for of, _ in due} == {0, 1, 3}


def test_a_base_that_came_to_nothing_is_not_confirmed():
    failed = [record(0, 1, 0, None, role="base", cause="divergence"), *SEARCH[1:]]
    assert {of for of, _ in replicates_due(standings_of(SWEEP, failed))} == {1, 3}
