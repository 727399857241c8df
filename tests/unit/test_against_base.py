"""Whether the winner beats the base: paired differences, their intervals, the sentence for all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.cli.leaderboard import best_in_words
from sweeper.report.leaderboard import leaderboard
from sweeper.report.mlflow_tables import evidence
from sweeper.results import TableRefused, main_table, table_of
from sweeper.standings import standings_of
from sweeper.standings.against_base import against_base, confirmed_differences
from sweeper.standings.verdict import verdict_in_words
from sweeper.sweepfile import Limits
from sweeper.sweepfile.sections import Seeds
from sweeper.tracking.sweep_run import tags_of
from tests.unit.report_sweeps import replicate, sweep, trial

TOP = Seeds(confirm_top=1, replicates=5)
BASE, WINNER = (30.0, 20.0, 26.0, 22.0, 24.0), (27.0, 18.5, 24.0, 19.0, 21.5)


def raced(*groups, goals=(), of=(0, 1), seeds=TOP, search=(40.0, 10.0)):
    """A search and, on seeds from 1000 on, the values of some of its trials; None: it failed."""
    spec = sweep(*goals, seeds=seeds, limits=Limits(trials=len(search) or 1))
    records = [
        trial(n, *([] if value is None else np.atleast_1d(value)), config={"x": n, "seed": 0})
        for n, value in enumerate(search)
    ]
    for number, values in zip(of, groups, strict=False):
        for seed, value in enumerate(values, 1000):
            given = [] if value is None else np.atleast_1d(value)
            run = replicate(len(records), number, seed, *map(float, given))
            failed = {} if len(given) else {"state": "failed", "cause": "divergence"}
            records.append(replace(run, **failed))
    return standings_of(spec, records)


def test_the_difference_is_paired_by_seed_with_the_interval_of_an_ablation():
    standings = raced(BASE, WINNER)
    (found,) = against_base(standings).differences
    ours = np.array(WINNER) - np.array(BASE)
    # At five pairs and 95% the sign-flip interval, which `sweeper table` would give as well.
    from sweeper.ablation.intervals import sign_flip_interval

    low, high = sign_flip_interval(ours[None], 0.95)
    assert (found.value, found.base, found.seeds) == (22.0, 24.4, 5)
    assert found.difference == pytest.approx(-2.4)
    assert (found.low, found.high) == pytest.approx((float(low[0]), float(high[0])))
    # Unpaired, the spread over seeds would drown it: what the page once showed side by side.
    assert stats.ttest_ind(WINNER, BASE).pvalue > 0.3
    assert found.verdict == "better"
    assert against_base(standings).confirmed
    assert verdict_in_words(standings) == (
        "confirmed: trial 00001 beats the base configuration, fid −2.40 [−3.00, −1.42] "
        "on 5 fresh seeds"
    )
    assert best_in_words(standings).endswith("(−2.40 [−3.00, −1.42] against the base)")


def test_a_verdict_says_that_fresh_seeds_repeat_no_take_over():
    def told(standings, donor=0):
        heirs = [
            replace(t, donors=((20, donor),)) if t.number == 1 else t for t in standings.trials
        ]
        return verdict_in_words(standings_of(standings.sweep, heirs))

    assert told(raced(BASE, WINNER)).endswith(
        "on 5 fresh seeds; on them its last settings were trained from the first step, without the "
        "weights that it took over"
    )
    assert told(raced(BASE, WINNER), donor=1).endswith("were trained from the first step")
    assert "took over" not in told(raced())


def test_an_interval_that_holds_zero_confirms_nothing_whatever_the_search_had_said():
    standings = raced(BASE, (31.0, 15.0, 29.0, 20.0, 22.0), search=(40.0, 1.0))
    assert standings.best.trial.number == 1
    found = against_base(standings)
    assert found.differences[0].verdict == "unclear"
    assert not found.confirmed
    words = verdict_in_words(standings)
    assert words.startswith("not confirmed: trial 00001 may be no better than the base")
    assert "%" not in words + best_in_words(standings)


def test_a_larger_value_confirms_where_the_goal_is_to_maximise():
    standings = raced(WINNER, BASE, goals=("maximize",), search=(10.0, 40.0))
    assert against_base(standings).confirmed
    assert "fid +2.40 [+1.42, +3.00]" in verdict_in_words(standings)


def test_the_choice_among_several_widens_the_interval():
    one = raced(BASE, WINNER)
    worse = tuple(value + 20 for value in BASE)
    three = raced(
        BASE,
        WINNER,
        worse,
        worse,
        of=(0, 1, 2, 3),
        search=(40.0, 10.0, 11.0, 12.0),
        seeds=Seeds(confirm_top=3, replicates=5),
    )
    narrow, wide = against_base(one).differences[0], against_base(three).differences[0]
    assert (against_base(one).family, against_base(three).family) == (1, 3)
    ours = np.array(WINNER) - np.array(BASE)
    half = stats.t.ppf(1 - 0.05 / 3 / 2, 4) * ours.std(ddof=1) / np.sqrt(5)
    assert (wide.low, wide.high) == pytest.approx((ours.mean() - half, ours.mean() + half))
    assert wide.high - wide.low > narrow.high - narrow.low
    assert wide.difference == narrow.difference


def test_where_the_base_wins_nothing_beat_it():
    standings = raced(WINNER, BASE, search=(40.0, 10.0))
    assert standings.best.trial.role == "base"
    found = against_base(standings)
    assert (found.won_by_base, found.confirmed, found.trial.number) == (True, False, 1)
    assert verdict_in_words(standings) == (
        "nothing beat the base configuration: the next best, trial 00001, has fid "
        "+2.40 [+1.42, +3.00] on 5 fresh seeds"
    )
    assert best_in_words(standings).endswith(", the base configuration")


def test_the_base_found_again_by_the_search_is_the_base():
    records = list(raced(WINNER, BASE, search=(40.0, 10.0, 9.0)).trials)
    again = {**records[0].config, "seed": 77}
    records[2] = replace(records[2], config=again)
    standings = standings_of(sweep(seeds=Seeds(confirm_top=2, replicates=5)), records)
    assert verdict_in_words(standings).startswith("nothing beat the base configuration")


@pytest.mark.parametrize(
    ("standings", "words"),
    [
        (
            raced(seeds=Seeds()),
            "not confirmed: trial 00001 against the base configuration, fid −30.00 in the search, "
            "one run each; nothing was run on fresh seeds",
        ),
        (
            raced(WINNER, of=(1,), seeds=Seeds(confirm_top=1, confirm_base=False)),
            "not confirmed: trial 00001 against the base configuration, fid −30.00 in the search, "
            "one run each; no fresh seed has values of both",
        ),
        (
            raced((20.0, None), (19.0, 18.0), seeds=Seeds(confirm_top=1, replicates=2)),
            "not confirmed: trial 00001 against the base configuration, fid −1.000 on 1 fresh "
            "seed; an interval needs two; 1 of the base's runs on fresh seeds failed",
        ),
        (
            raced(BASE[:3], WINNER[:2]),
            "not confirmed: trial 00001 may be no better than the base configuration, fid "
            "−2.2 [−11.8, +7.3] on 2 fresh seeds; more are to come",
        ),
        (
            raced(WINNER, of=(1,), search=(None, 10.0)),
            "not confirmed: the base configuration failed, so there is nothing to compare with",
        ),
        (
            raced(search=(40.0, None)),
            "nothing else has completed that the base configuration could be compared with",
        ),
        (raced(search=()), ""),
        (
            raced(search=(40.0, 40.0), seeds=Seeds()),
            "nothing beat the base configuration: the next best, trial 00001, has fid equal to the "
            "base's in the search, one run each; nothing was run on fresh seeds",
        ),
    ],
    ids=[
        "search only",
        "without base",
        "one seed",
        "running",
        "failed base",
        "alone",
        "nothing",
        "equal",
    ],
)
def test_what_is_missing_is_said_in_plain_words(standings, words):
    assert verdict_in_words(standings) == words
    found = against_base(standings)
    assert found is None or not found.confirmed


def test_without_a_base_and_in_an_ablation_nothing_is_said():
    records = [replace(one, role="search") for one in raced().trials]
    assert verdict_in_words(standings_of(sweep(), records)) == ""
    study = sweep(ablation=LeaveOneOut.Config())
    cells = [trial(0, 40.0, cell="full"), trial(1, 10.0, cell="without ema")]
    assert verdict_in_words(standings_of(study, cells)) == ""
    assert against_base(standings_of(study, cells)) is None


def test_with_two_objectives_each_has_its_own_answer():
    goals = ("minimize", "maximize")
    base = [(value, 0.5) for value in BASE]
    recalls = (0.51, 0.48, 0.5, 0.52, 0.49)
    first = list(zip(WINNER, recalls, strict=True))
    standings = raced(base, first, goals=goals, search=((40.0, 0.4), (10.0, 0.6)))
    found = against_base(standings)
    assert [one.verdict for one in found.differences] == ["better", "unclear"]
    assert not found.confirmed
    words = verdict_in_words(standings)
    assert words.startswith(
        "the base configuration is not on the Pareto front, which has 1 trial; against it "
        "trial 00001 has fid"
    )
    assert words.count("not confirmed") == 1
    assert "fid −2.4 [−3.4, −1.4] (confirmed)" in words


def test_the_base_on_the_front_hides_nothing_of_the_others_there():
    goals, close = ("minimize", "maximize"), tuple(value + 0.002 for value in BASE)
    groups = [
        list(zip(values, recalls, strict=True))
        for values, recalls in (
            (BASE, (0.10, 0.11, 0.09, 0.10, 0.10)),
            (close, (0.95, 0.96, 0.94, 0.97, 0.93)),
            (WINNER, (0.10, 0.12, 0.09, 0.09, 0.10)),
        )
    ]
    search = ((1.0, 0.1), (1.1, 0.95), (1.2, 0.97), (5.0, 0.9))
    standings = raced(*groups, goals=goals, of=(0, 1, 2), search=search)
    found = against_base(standings)
    assert standings.best.trial.role == "base"
    assert (found.won_by_base, found.base_on_front, found.trial.number) == (False, True, 1)
    # Both objectives of both others: four intervals hold together.
    assert found.family == 4
    words = verdict_in_words(standings)
    assert words.startswith(
        "the base configuration is one of 3 trials on the Pareto front; against it trial 00001 has "
    )
    assert "fid +0.0020" in words
    assert "(worse), recall +0.850" in words
    assert "(confirmed) on 5 fresh seeds; trial 00002 has fid −2.4" in words
    assert words in tags_of(standings)["sweeper.verdict"]
    assert best_in_words(standings).endswith(
        "by trial 00000, the first of 3 trials on the Pareto front (the base configuration is one "
        "of them)"
    )


def test_a_base_that_is_alone_on_the_front_is_told_by_both_objectives():
    search = ((1.0, 0.9), (1.1, 0.8))
    standings = raced(goals=("minimize", "maximize"), search=search, seeds=Seeds())
    assert against_base(standings).won_by_base
    assert verdict_in_words(standings) == (
        "nothing beat the base configuration in the search: it is alone on the Pareto front; "
        "against it the next best, trial 00001, has fid +0.1000 (not confirmed), recall −0.1000 "
        "(not confirmed) in the search, one run each; nothing was run on fresh seeds"
    )
    assert best_in_words(standings).endswith(", the base configuration, alone on the Pareto front")


def test_programs_get_the_numbers_of_every_configuration_on_fresh_seeds():
    standings = raced(BASE, WINNER)
    (gain,) = confirmed_differences(standings).values()
    table = evidence(standings, {}, {})["against_base"]
    assert table["trial"] == [1]
    assert table["difference"] == [gain.difference]
    rows = leaderboard(standings).to_pydict()
    assert rows["against_base"][:2] == [gain.difference, None]
    assert rows["against_base_high"][:2] == [gain.high, None]
    told = json.loads(json.dumps(against_base(standings).as_dict()))
    assert told["confirmed"] is True
    assert told["differences"][0]["low"] == gain.low
    tags = tags_of(standings)
    assert tags["sweeper.confirmed"] is True
    assert tags["sweeper.against_base.fid"] == gain.shown
    assert tags["sweeper.verdict"] == verdict_in_words(standings)
    assert "sweeper.verdict" not in tags_of(standings_of(sweep(), []))


def test_the_table_of_two_objectives_shows_both_and_says_by_which_it_marks():
    search = ((1.0, 0.1), (1.1, 0.95))
    standings = raced(goals=("minimize", "maximize"), search=search, seeds=Seeds())
    table = main_table(standings.sweep, table_of(standings))
    headings = [column.heading for column in table.columns]
    assert headings[headings.index("fid ↓") + 1] == "recall ↑"
    assert table.raw()["objective_2"].to_pylist() == [0.1, 0.95]
    fresh = [[(1.0, 0.1), (1.2, 0.2), (1.1, 0.1)], [(1.1, 0.9), (1.4, 0.8), (1.0, 0.9)]]
    confirmed = raced(*fresh, goals=("minimize", "maximize"), search=search)
    against = main_table(confirmed.sweep, table_of(confirmed), reference="trial 00000")
    keys = [column.key for column in against.columns]  # differences and tests are of the first
    assert keys.index("value") < keys.index("difference") < keys.index("objective_2")
    assert "marked by fid alone, the first objective" in table.caption
    one = raced(search=(40.0, 10.0), seeds=Seeds())
    with pytest.raises(TableRefused, match="there is no column 'objective_2'"):
        main_table(one.sweep, table_of(one), columns=["cell", "objective_2"])
