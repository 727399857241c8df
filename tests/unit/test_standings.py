"""Who is best, how sure that is, how far a sweep is, and what stopping early saved."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper import causes, wording
from sweeper.ablation.dataset import dataset_as_bytes
from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.cli.leaderboard import best_in_words, print_leaderboard
from sweeper.home import Request
from sweeper.report.leaderboard import as_csv, leaderboard
from sweeper.report.summary import tiles
from sweeper.results import main_table, table_of
from sweeper.standings import standings_of
from sweeper.standings.confirming import most_replicates, replicates_due
from sweeper.standings.kept import kept_in
from sweeper.standings.progress import progress_of
from sweeper.sweepfile import Limits, Parameter, Values
from sweeper.sweepfile.sections import Keep, Seeds
from sweeper.sweepfile.seeding import replicate_seeds
from sweeper.trial import Trial
from tests.unit.report_sweeps import PARAMETERS, PROTOCOL, STEPS, replicate, sweep, trial


def ranks(standings):
    return {one.trial.number: one.rank for one in standings.order}


def test_only_completed_trials_have_a_rank_and_a_half_trained_value_never_wins():
    pruned = trial(1, 5.0, state="pruned", objective=None, steps=250)
    standings = standings_of(sweep(), [trial(0, 40.0), pruned, trial(2), trial(3, 20.0)])
    assert [one.trial.number for one in standings.order] == [3, 0, 1, 2]
    assert ranks(standings) == {3: 1, 0: 2, 1: None, 2: None}


def test_a_larger_value_wins_when_the_goal_is_to_maximise():
    standings = standings_of(sweep("maximize"), [trial(0, 1.0), trial(1, 2.0), trial(2, math.inf)])
    assert ranks(standings) == {1: 1, 0: 2, 2: None}


def test_the_mean_on_fresh_seeds_ranks_before_the_lucky_score():
    records = [trial(0, 30.0), trial(1, 10.0), trial(2, 12.0), trial(3, 11.0)]
    records += [replicate(4 + i, 1, 100 + i, value) for i, value in enumerate((20.0, 22.0))]
    records += [replicate(6 + i, 2, 100 + i, value) for i, value in enumerate((14.0, 16.0))]
    standings = standings_of(sweep(), records)
    assert ranks(standings) == {2: 1, 1: 2, 3: 3, 0: 4}
    best = standings.best
    assert best.confirmed.mean == 15.0
    assert best.confirmed.deviation == pytest.approx(math.sqrt(2))
    assert best.trial.objective == (12.0,)


def test_a_failed_replicate_is_counted_and_weighs_as_the_worst():
    records = [trial(0, 30.0), trial(1, 10.0), trial(2, 12.0)]
    records += [replicate(3, 1, 100, 10.0), replicate(4, 1, 101)]
    records += [replicate(5, 2, 100, 14.0), replicate(6, 2, 101, 15.0)]
    standings = standings_of(sweep(), records)
    # Survivors alone would say 10 against 14.5; with the failure as 15 it is 12.5 against 14.5.
    assert ranks(standings)[1] == 1
    confirmed = standings.best.confirmed
    assert (confirmed.mean, confirmed.count, confirmed.failed) == (10.0, 1, 1)


def test_a_trial_measured_by_another_protocol_is_listed_without_a_rank():
    other = trial(3, 1.0, protocol={**PROTOCOL, "fake_count": "50000"})
    averaged = trial(2, 5.0, protocol={**PROTOCOL, "weights": "averaged"})
    standings = standings_of(sweep(), [trial(0, 30.0), trial(1, 10.0), averaged, other])
    assert ranks(standings) == {2: 1, 1: 2, 0: 3, 3: None}
    assert [one.trial.number for one in standings.order if not one.comparable] == [3]


def test_stops_count_the_steps_they_saved_and_a_crash_saves_none():
    records = [
        trial(0, 30.0),
        trial(1, steps=250, cause="mode_collapse"),
        trial(2, 9.0, state="pruned", objective=None, cause="scheduler", steps=500),
        trial(3, steps=100, cause="error"),
    ]
    standings = standings_of(sweep(), records)
    saved = {stop.cause: (stop.trials, stop.steps, stop.saves) for stop in standings.stops}
    assert saved == {
        "error": (1, 900, False),
        "mode_collapse": (1, 750, True),
        "scheduler": (1, 500, True),
    }
    assert (standings.steps_saved, standings.steps_planned) == (1250, 4 * STEPS)


RACE = Seeds(confirm_top=2, confirm_base=False, replicates=6, screen=3)


def raced(spec, *groups):
    """Trials 0 and 1 of a search, in which 0 was the luckier, and their values on fresh seeds."""
    records = [trial(0, 1.0), trial(1, 2.0)]
    for of, values in enumerate(groups):
        for seed, value in zip(replicate_seeds(spec), values, strict=False):
            records.append(replicate(len(records), of, seed, *([] if value is None else [value])))
    return records


def test_a_table_of_a_confirmation_is_led_by_the_winner_of_the_race_whatever_the_means_say():
    spec = sweep(seeds=RACE)
    # Given up after three seeds, all of them easy ones; the winner had to hold the hard ones too.
    standings = standings_of(spec, raced(spec, (5.0, 5.1, 5.2), (4.0, 4.1, 4.2, 9.0, 9.0, 9.0)))
    means = {one.trial.number: one.confirmed.mean for one in standings.order}
    assert means[0] < means[1]
    assert standings.best.trial.number == 1
    table = main_table(spec, table_of(standings))
    assert table.columns[0].texts == ("trial 00001", "trial 00000")
    assert (table.best, table.equals) == (0, frozenset())


def test_a_search_that_goes_on_puts_no_lucky_trial_before_one_that_was_confirmed():
    spec = sweep(seeds=RACE)
    seeds = replicate_seeds(spec)
    steady, poor = (4.0, 4.3, 3.9, 4.1, 4.2, 4.0), (6.1, 6.0, 6.3, 6.2, 6.1, 6.4)
    records = raced(spec, steady, poor)
    lucky = [
        trial(len(records) + place, 0.5 + 0.1 * place, config={"batch_size": place})
        for place in range(2)
    ]
    records += lucky
    found = standings_of(spec, records)
    first, second = (one.number for one in lucky)
    assert list(ranks(found)) == [0, 1, first, second]
    assert replicates_due(found)[:2] == [(first, seeds[0]), (second, seeds[0])]
    assert kept_in(found, Keep(generators="best 1"), settled=False).generators == set(ranks(found))
    records.append(replicate(len(records), first, seeds[0], 3.8))
    assert standings_of(spec, records).best.trial.number == 0, "one run, and six"
    for of in (first, second):
        ran = 1 if of == first else 0
        for seed in seeds[ran:]:
            records.append(replicate(len(records), of, seed, 9.0 + 0.1 * (seed % 3) + of / 100))
    found = standings_of(spec, records)
    assert (found.best.trial.number, found.race.over) == (0, True)
    # Further seeds are run by all who may still win, so that they are compared on the same ones.
    more = replace(spec, seeds=RACE.model_copy(update={"replicates": 8}))
    assert (0, replicate_seeds(more)[6]) in replicates_due(standings_of(more, records))


def test_a_sweep_is_finished_when_its_race_is_decided():
    spec = sweep(seeds=RACE, limits=Limits(trials=2))
    easy, steady = (5.0, 5.1, 5.2), (4.0, 4.1, 4.2, 9.0, 9.0, 9.0)
    for groups, state in (
        ((), "interrupted"),
        ((easy, steady[:4]), "interrupted"),
        ((easy, steady), "finished"),
    ):
        assert progress_of(standings_of(spec, raced(spec, *groups))).state == state
    # A round that lost a worker is held again by the next run; this one could do no more.
    records = raced(spec, easy, steady)
    lost = replace(records[-1], state="failed", objective=None, cause="worker_died")
    assert progress_of(standings_of(spec, [*records[:-1], lost])).state == "incomplete"


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        (None, "running"),
        (Request.PAUSE, "paused"),
        (Request.STOP, "draining"),
        (Request.CANCEL, "ending"),
    ],
)
def test_a_sweep_with_a_driver_does_what_that_was_asked(asked, state):
    progress = progress_of(standings_of(sweep(), [trial(0, 30.0)]), driven=True, asked=asked)
    assert (progress.state, progress.over, progress.budget) == (state, 1, 4)
    assert progress.in_words() == f"{state}, 1 of 4 trials"


def test_a_cell_is_ranked_by_the_runs_that_count_also_where_its_first_one_failed():
    spec = sweep(ablation=LeaveOneOut.Config(seeds=3))
    records = [
        trial(0, cell="full", cause="divergence"),
        trial(1, 6.0, cell="without ema"),
        *(trial(2 + n, 2.0, cell="full", role="replicate", of=0) for n in range(2)),
        trial(4, cell="without ema", role="replicate", of=1, cause="worker_died"),
        trial(5, 7.0, cell="without ema", role="replicate", of=1),
    ]
    standings = standings_of(spec, records)
    # The failure counts as 7, the worst of all; the run that lost its worker as nothing.
    assert [cell.cell for cell in standings.cells] == ["full", "without ema"]
    assert [(cell.over_seeds.count, cell.failed) for cell in standings.cells] == [(2, 1), (2, 0)]
    assert standings.best.trial.number == 2


@given(values=st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=12), seed=st.randoms())
def test_a_watcher_that_asks_only_where_the_lead_may_change_never_names_another(values, seed):
    ended = [trial(n, *([] if value is None else [float(value)])) for n, value in enumerate(values)]
    seed.shuffle(ended)
    known = standings_of(sweep(), ())
    for count, last in enumerate(ended, 1):
        now = standings_of(sweep(), ended[:count])
        if known.may_change_the_lead(last):
            known = now
        assert known.best == now.best


@given(points=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_a_watcher_of_two_objectives_never_shows_another_front(points):
    ended = [trial(n, float(a), float(b)) for n, (a, b) in enumerate(points)]
    spec = sweep("minimize", "maximize")
    known = standings_of(spec, ())
    for count, last in enumerate(ended, 1):
        now = standings_of(spec, ended[:count])
        if known.may_change_the_lead(last):
            known = now
        assert known.winners == now.winners


@given(
    points=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25),
    goals=st.tuples(*[st.sampled_from(("minimize", "maximize"))] * 2),
)
def test_the_fronts_are_those_that_comparing_every_pair_gives(points, goals):
    records = [trial(n, float(a), float(b)) for n, (a, b) in enumerate(points)]
    signs = np.array([1 if goal == "minimize" else -1 for goal in goals])
    left = {n: signs * np.array(point) for n, point in enumerate(points)}
    expected, front = {}, 1
    while left:
        best = [
            n
            for n, mine in left.items()
            if not any((theirs <= mine).all() and (theirs < mine).any() for theirs in left.values())
        ]
        for n in best:
            expected[n] = front
            del left[n]
        front += 1
    assert ranks(standings_of(sweep(*goals), records)) == expected


def test_the_leaderboard_is_the_same_in_both_files_and_holds_everything_searched(tmp_path):
    records = [trial(0, 30.0), trial(1, 10.0), trial(2), replicate(3, 1, 100, 11.0)]
    table = leaderboard(standings_of(sweep(), records))
    (tmp_path / "board.csv").write_bytes(as_csv(table))
    (tmp_path / "board.parquet").write_bytes(dataset_as_bytes(table))
    parquet = pq.read_table(tmp_path / "board.parquet")
    assert parquet.equals(table)
    read = pa_csv.read_csv(tmp_path / "board.csv").to_pydict()
    assert read["rank"] == [1, 2, None, None]
    assert read["trial"] == [1, 0, 2, 3]
    assert read["objective"] == [10.0, 30.0, None, 11.0]
    assert read["confirmed_mean"] == [11.0, None, None, None]
    assert read["confirmed_n"] == [1, None, None, None]
    assert read["tricks.ema"] == [False, True, False, True]
    assert read["loss"] == ["wgan", "hinge", "hinge", "wgan"]
    assert (
        parquet["optimizer.generator.lr"].to_pylist()[0]
        == records[1].values["optimizer.generator.lr"]
    )


def test_a_parameter_that_is_called_like_a_column_has_one_of_its_own():
    searched = replace(trial(0, 30.0), values={"steps": 900, "seed": 3, "loss": "wgan"})
    read = leaderboard(standings_of(sweep(), [searched])).to_pydict()
    assert (read["steps"], read["param.steps"], read["seed"]) == ([searched.steps], [900], [3])
    assert read["loss"] == ["wgan"]
    assert "param.seed" not in read


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12.345, "12.35"),
        (0.00012345, "0.0001234"),
        (1234.6, "1,235"),
        (-2.5, "−2.500"),
        (1.5e-7, "1.5e-07"),
        (0.0, "0"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_numbers_are_shown_with_four_figures(value, shown):
    assert wording.number(value) == shown


def test_every_health_symptom_and_every_cause_has_a_meaning():
    for name in ("mode_collapse", "divergence", "past_best", "scheduler"):
        assert causes.cause(name).saves
        assert len(causes.cause(name).meaning) > 20
    assert not causes.cause("worker_died").saves
    assert not causes.cause("something new").saves


def test_where_seeds_are_searched_a_configuration_is_ranked_by_its_mean_over_them(capsys):
    seeds = Parameter("seed", Values((0, 1, 2)))
    spec = sweep(parameters=(*PARAMETERS, seeds), limits=Limits(trials=6))
    steady, lucky = (11.0, 12.0, 10.0), (2.0, 40.0, None)
    records = [
        trial(
            number,
            *([] if value is None else [value]),
            values={"loss": loss, "seed": seed},
            config={"loss": loss, "seed": seed},
            **({"cause": "divergence", "role": "search"} if value is None else {}),
        )
        for number, (loss, seed, value) in enumerate(
            (loss, seed, value)
            for loss, values in (("hinge", steady), ("wgan", lucky))
            for seed, value in enumerate(values)
        )
    ]
    standings = standings_of(spec, records)
    # The failure weighs as 40, the worst of all: 27.3 against 11.
    assert ranks(standings) == {2: 1, 0: 2, 1: 3, 3: 4, 4: 5, 5: None}
    best = standings.best
    assert (best.value, best.own_value, best.searched.values) == (11.0, 10.0, steady)
    assert standings.by_search[0].number == 3
    table = main_table(spec, table_of(standings))
    assert table.columns[0].texts == ("trial 00000", "trial 00003")
    assert table.raw()["is_best"].to_pylist() == [True, False]
    read = leaderboard(standings).to_pydict()
    assert read["searched_mean"][:4] == [11.0, 11.0, 11.0, 21.0]
    assert best_in_words(standings).startswith("fid 11 ± 1 (3) over its seeds, 10 by trial 00002")
    print_leaderboard(standings, 1)
    assert "11 ± 1 (3)" in capsys.readouterr().out
    assert "Best FID, over seeds" in tiles(standings)
    assert "11.0 ± 1.0" in tiles(standings)
    confirming = replace(spec, seeds=Seeds(confirm_top=1, confirm_base=False, replicates=2))
    assert {of for of, _ in replicates_due(standings_of(confirming, records))} == {2}
    known = standings_of(spec, records[:4])
    assert known.may_change_the_lead(records[4])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_an_extended_race_is_led_by_the_best_on_all_seeds_and_never_longer_than_was_told(data):
    spec = sweep(
        seeds=Seeds(
            confirm_top=data.draw(st.integers(1, 3)),
            confirm_base=data.draw(st.booleans()),
            replicates=data.draw(st.sampled_from((3, 6))),
            screen=3,
        ),
        limits=Limits(trials=3),
    )
    dice, seeds, worth = data.draw(st.randoms(use_true_random=False)), replicate_seeds(spec), {}
    records: list[Trial] = []
    for trials in (3, 5, 7):
        spec = replace(spec, limits=Limits(trials=trials))
        for _ in range(trials - sum(one.role != "replicate" for one in records)):
            number = len(records)
            worth[number] = dice.gauss(10, 1)
            role = "search" if records else "base"
            lucky = worth[number] + dice.gauss(0, 1)
            records.append(trial(number, lucky, config={"batch_size": number}, role=role))
        told = most_replicates(standings_of(spec, records), trials)
        cut = dice.choice((0, 4, 100))
        while (due := replicates_due(standings_of(spec, records))) and (cut := cut - 1) >= 0:
            of, seed = due[0]
            value = worth[of] + dice.gauss(0, 0.5)
            records.append(replicate(len(records), of, seed, *[value] * (dice.random() < 0.95)))
        found = standings_of(spec, records)
        assert sum(one.role == "replicate" for one in records) <= told
        whole = {
            number: fmean(values.values())
            for number, values in found.replicates.items()
            if set(values) == set(seeds) and None not in values.values()
        }
        by_mean = sorted(whole, key=whole.__getitem__)
        assert sorted(whole, key=lambda number: found.ranks[number]) == by_mean
