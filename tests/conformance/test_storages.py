"""One suite over every storage: what the ledger promises holds wherever the study is kept."""

from __future__ import annotations

import copy
import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
import psycopg
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from sweeper.ablation.designs.full_factorial import FullFactorial
from sweeper.errors import AnotherHome, LedgerError, SpecConflict, Superseded
from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.looking import look_at
from sweeper.search.samplers.random import Random
from sweeper.search.samplers.tpe import Tpe
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.standings.usage import Usage
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.trial import Evaluation, FinalScore, Symptom, Trial
from tests.conformance.storages import Killed, Place, PostgresPlace, killed_before
from trials.health import Sign

ROOT = Path(__file__).parents[2]
X = Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True))
SIZE = Parameter("batch_size", Values((16, 32, 64)))
SWEEP = Sweep(
    name="probe",
    base={"data": {"name": "digits"}, "steps": 20},
    parameters=(X, SIZE),
    search=Tpe.Config(startup_trials=1, start_with_base=False),
    limits=Limits(trials=3),
)

EVERY = [5, pytest.param(1, marks=pytest.mark.slow)]
"""A kill before each so-manieth write."""


@pytest.fixture(params=list(Place.every))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place.every[request.param](tmp_path / "home", request)


def measured(step: int, value: float) -> Evaluation:
    return Evaluation(step, 1000.0 + step, {"fid": value})


def ask(ledger: Ledger) -> Trial:
    asked = ledger.ask()
    assert asked is not None
    ledger.started(asked.number)
    return asked


def drive(place: Place, sweep: Sweep, steps: Sequence[int] = (10, 20)) -> list[Trial]:
    """As a driver: take up what was interrupted, then ask on. Trial 1 is pruned, trial 2 fails."""
    trials = sweep.limits.trials
    ledger = place.open(sweep)
    while True:
        interrupted = ledger.interrupted()
        search = ledger.counts()["search"]
        if not interrupted and search == trials:
            break
        asked = interrupted[0] if interrupted else ledger.ask()
        assert asked is not None
        number = asked.number
        ledger.started(number)
        for step in steps:
            ledger.report(number, measured(step, asked.values[X.path] * step))
        if number == 1:
            ledger.prune(number, "scheduler", "not among the best")
        elif number == 2:
            ledger.fail(number, "error", "ValueError: no", "the last line")
        else:
            ledger.complete(number, [asked.values[X.path] * 20])
    return ledger.trials()


def told(record: Trial) -> Trial:
    """A record without what may differ from one run to the next."""
    return replace(record, started=None, ended=None, attempts=0)


def test_each_trial_is_told_as_what_it_was_and_read_back_so(place: Place) -> None:
    drive(place, SWEEP)
    ledger = place.read(SWEEP)
    assert ledger is not None
    records = ledger.trials()
    assert [one.number for one in records] == [0, 1, 2]
    assert [one.state for one in records] == ["completed", "pruned", "failed"]
    assert [one.cause for one in records] == [None, "scheduler", "error"]
    rate = records[0].values[X.path]
    assert records[0].objective == (rate * 20,)
    assert records[0].curve("fid") == {10: rate * 10, 20: rate * 20}
    assert records[0].config["optimizer"]["generator"]["lr"] == rate
    assert records[0].config["batch_size"] == records[0].values[SIZE.path]
    assert [one.objective for one in records[1:]] == [None, None]
    assert records[2].reason == "ValueError: no"
    assert records[2].log_tail == "the last line"
    assert all(one.seconds is not None and one.attempts == 1 for one in records)
    assert [ledger.trial(number) for number in range(3)] == records
    assert ledger.counts() == {"search": 3, "complete": 1, "pruned": 1, "fail": 1}


def test_all_that_was_measured_comes_back_to_the_last_bit(place: Place) -> None:
    ledger = place.open(SWEEP)
    number = ask(ledger).number
    seen = Symptom(
        "mode_collapse",
        10,
        evidence={"reached": 2 / 3},
        advice=Sign.named("mode_collapse").advice,
        note="4 of 10 modes; “ü” 模式 \x00 '\"\\ %s :name",
    )
    third = Evaluation(
        10,
        1764394000.123456,
        {"fid": 1 / 3, "kid": math.nan, "recall": math.inf, "tiny": 5e-324},
        {"extractor": "identity", "fake_count": "64"},
        (seen,),
        "samples/000010.png",
    )
    assert ledger.report(number, third)
    assert not ledger.report(number, measured(10, 9.0))
    again = place.open(SWEEP)
    assert repr(again.trial(number).evaluations) == repr((third,))  # where NaN is NaN
    log = "a line of the log\n" * 20_000
    again.fail(number, "divergence", "fid is not finite", log)
    [record] = place.open(SWEEP).trials()
    assert record.log_tail == log
    assert record.curve("fid") == {10: 1 / 3}


def test_the_first_end_of_a_trial_stands(place: Place) -> None:
    ledger = place.open(SWEEP)
    number = ask(ledger).number
    ledger.fail(number, "divergence", "fid is not finite")
    ledger.complete(number, [1.0])
    assert not ledger.report(number, measured(20, 1.0))
    [record] = place.open(SWEEP).trials()
    assert (record.state, record.cause, record.evaluations) == ("failed", "divergence", ())


@pytest.mark.parametrize("every", EVERY)
def test_a_driver_killed_between_any_two_writes_changes_nothing_in_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    two = replace(SWEEP, limits=Limits(trials=2))
    straight = [told(record) for record in drive(place, two, steps=(20,))]
    for write in itertools.count(every, every):
        sweep = replace(two, name=f"killed-{write}")
        try:
            with killed_before(write, monkeypatch):
                drive(place, sweep, steps=(20,))
            break
        except Killed:
            assert [told(record) for record in drive(place, sweep, steps=(20,))] == straight
    assert write > 15


@pytest.mark.parametrize("seconds", [0.2, 0.7])
def test_a_driver_killed_by_the_kernel_leaves_a_study_that_goes_on(
    place: Place, seconds: float
) -> None:
    driver = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.conformance.endless",
            str(place.home.path),
            place.address or "",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"0\n"
    time.sleep(seconds)
    driver.send_signal(signal.SIGKILL)
    promised = [int(line) for line in driver.stdout]
    driver.stdout.close()
    driver.wait()
    from tests.conformance.endless import ENDLESS

    ledger = place.open(ENDLESS)
    records = ledger.trials()
    assert [one.number for one in records] == list(range(len(records)))
    assert len(records) > max(promised, default=0)
    assert all(one.state == "completed" for one in records[: max(promised, default=0) + 1])
    for asked in ledger.interrupted():
        ledger.report(asked.number, measured(20, 1.0))
        ledger.complete(asked.number, [1.0])
    assert ask(ledger).number == len(records)
    states = [one.state for one in place.open(ENDLESS).trials()]
    assert states == ["completed"] * len(records) + ["running"]


def test_a_trial_that_was_interrupted_is_taken_up_with_what_is_known_of_it(place: Place) -> None:
    ledger = place.open(SWEEP)
    first = ask(ledger)
    ledger.report(first.number, measured(10, 2.0))
    again = place.open(SWEEP)
    [taken_up] = again.interrupted()
    assert (taken_up.values, taken_up.config) == (first.values, first.config)
    assert (taken_up.attempts, taken_up.evaluations) == (1, (measured(10, 2.0),))
    assert not again.report(first.number, measured(10, 9.0))
    assert again.started(first.number) == 2
    assert again.report(first.number, measured(20, 1.0))
    again.complete(first.number, [1.0])
    [record] = place.open(SWEEP).trials()
    assert record.curve("fid") == {10: 2.0, 20: 1.0}
    assert record.attempts == 2


def test_deaths_are_counted_anew_when_a_trial_got_further_in_between(place: Place) -> None:
    ledger = place.open(SWEEP)
    number = ask(ledger).number
    assert ledger.mishaps.died(number, "a") == (0, {"a": 1})
    ledger = place.open(SWEEP)
    assert ledger.mishaps.died(number, "b") == (0, {"a": 1, "b": 1})
    ledger.report(number, measured(10, 1.0))
    assert [place.open(SWEEP).mishaps.died(number, "a") for _ in (1, 2)] == [
        (10, {"a": 1}),
        (10, {"a": 2}),
    ]


def test_trials_that_failed_are_tried_again_under_their_numbers(place: Place) -> None:
    spec = replace(SWEEP, limits=Limits(trials=4))
    ledger = place.open(spec)
    first, second, third = (ask(ledger) for _ in range(3))
    ledger.report(first.number, measured(10, 2.0))
    ledger.fail(first.number, "worker_died", "the kernel killed it")
    ledger.fail(second.number, "error", "it raised")
    ledger.complete(third.number, [3.0])
    assert place.open(spec).retry() == [first.number]
    assert place.open(spec).retry() == []
    assert place.open(spec).retry(["error", "divergence"]) == [second.number]
    again = place.open(spec)
    assert again.counts()["search"] == 3
    assert [one.number for one in again.interrupted()] == [first.number, second.number]
    taken_up = again.interrupted()[0]
    assert (taken_up.values, taken_up.config) == (first.values, first.config)
    assert (taken_up.attempts, taken_up.evaluations) == (1, (measured(10, 2.0),))
    assert again.started(first.number) == 2
    again.complete(first.number, [1.0])
    again.complete(second.number, [5.0])
    records = place.open(spec).trials()
    assert [(one.number, one.objective) for one in records] == [
        (0, (1.0,)),
        (1, (5.0,)),
        (2, (3.0,)),
    ]
    assert ask(place.open(spec)).number not in (0, 1, 2)


def test_replicates_winners_and_what_the_sweep_has_cost_are_kept(place: Place) -> None:
    drive(place, SWEEP)
    ledger = place.open(SWEEP)
    assert ledger.plan() == 3
    ledger.use(Usage(1.25, 0.5, 2.0))
    again = place.open(SWEEP)
    again.use(Usage(2.75, 0.5, 3.0))
    replicate = again.ask_replicate(0, seed=7)
    assert (replicate.number, replicate.of, replicate.role) == (3, 0, "replicate")
    score = FinalScore(20, {"fid_5k": 0.1}, {"extractor": "identity"})
    again.scored(0, score)
    reader = place.read(SWEEP)
    assert reader is not None
    assert (reader.planned, reader.used) == (3, Usage(2.75, 0.5, 3.0))
    records = reader.trials()
    assert records[0].final == score
    assert records[3].config == {**records[0].config, "seed": 7}
    assert reader.counts()["replicate"] == 1


def test_one_trial_takes_over_another_and_that_survives_the_driver(place: Place) -> None:
    population = replace(
        SWEEP,
        base={**SWEEP.base, "evaluation": {"every": 10}},
        parameters=(X,),
        search=Random.Config(start_with_base=False),
        scheduler=PopulationBased.Config(quantile=0.5),
    )
    ledger = place.open(population)
    for value in (1.0, 2.0):
        ledger.report(ask(ledger).number, measured(10, value))
    again = place.open(population)
    assert again.scheduler.take_over(0) is None
    taken = again.scheduler.take_over(1)
    assert taken is not None
    assert (taken.donor, taken.donor_step) == (0, 10)
    later = place.open(population)
    assert later.scheduler.donor(1) == (0, 10)
    assert later.trial(1).values == taken.draw.values
    assert later.trial(1).config == taken.draw.config
    assert later.trial(1).donors == ((10, 0),)
    assert later.trial(0).donors == ()


def test_the_scheduler_decides_as_it_would_have_without_a_stop(place: Place) -> None:
    halving = replace(SWEEP, scheduler=Asha.Config(grace_steps=10, reduction_factor=2))
    ledger = place.open(halving)
    for value in (1.0, 2.0, 3.0):
        number = ask(ledger).number
        ledger.report(number, measured(10, value))
    again = place.open(halving)
    assert all(again.scheduler.undecided(number) for number in range(3))
    verdicts = [again.scheduler.verdict(number) for number in range(3)]
    assert verdicts == [ledger.scheduler.verdict(number) for number in range(3)]
    assert verdicts[0] is None
    assert verdicts[2] is not None
    again.scheduler.went_on(0)
    assert not place.open(halving).scheduler.undecided(0)


def test_two_readers_see_a_growing_study_while_it_is_written(place: Place) -> None:
    place.open(SWEEP)
    done = threading.Event()
    counts: list[list[int]] = [[], []]
    errors: list[BaseException] = []

    def read(seen: list[int]) -> None:
        try:
            while not done.is_set():
                reader = place.read(SWEEP)
                assert reader is not None
                records = reader.trials()
                assert [one.number for one in records] == list(range(len(records)))
                over = [one for one in records if one.state == "completed"]
                assert all(one.objective and one.config and one.evaluations for one in over)
                seen.append(len(over))
                done.wait(0.01)
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read, args=(seen,)) for seen in counts]
    for reader in readers:
        reader.start()
    ledger = place.open(SWEEP)
    for _ in range(12):
        asked = ask(ledger)
        ledger.report(asked.number, measured(20, 1.0))
        ledger.complete(asked.number, [1.0])
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    for seen in counts:
        assert len(set(seen)) > 1
        assert seen == sorted(seen)


def test_whoever_looks_is_told_what_the_study_holds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", place.address or "")
    folder = place.home.sweep(SWEEP.name)

    def same() -> None:
        looked, foreign = look_at(folder, SWEEP)
        study = place.read(SWEEP)
        assert study is not None
        standings = study.standings()
        assert looked.trials == standings.trials
        assert (looked.protocol, looked.planned) == (standings.protocol, standings.planned)
        assert foreign == study.foreign()

    ledger = place.open(SWEEP)
    ledger.plan()
    same()
    for number in range(3):
        assert ask(ledger).number == number
        ledger.report(number, measured(10, 5.0 - number))
        same()
    ledger.complete(0, [5.0])
    ledger.fail(1, "error", "ValueError: no", "the last line")
    same()
    with of_others(place) as theirs:
        other = theirs.ask().number
        same()
        theirs.tell(other, 1.0)
    assert ledger.retry(["error"]) == [1]
    ledger.scored(0, FinalScore(20, {"fid_5k": 2.0}, {}))
    same()
    assert folder.study_digest.exists()
    with of_others(place) as theirs:
        theirs.tell(2, 4.0)  # a trial of the sweep's own
    same()


def test_a_factor_of_an_ablation_may_get_another_level_later(place: Place) -> None:
    first, more = (
        replace(
            SWEEP,
            parameters=(Parameter("loss", Values(levels)), Parameter("tricks.ema", Toggle())),
            ablation=FullFactorial.Config(seeds=2),
            limits=Limits(),
        )
        for levels in (("non_saturating", "hinge"), ("non_saturating", "hinge", "wgan"))
    )
    for sweep, expected in ((first, 8), (more, 12)):
        ledger = place.open(sweep)
        while (asked := ledger.ask()) is not None:
            ledger.complete(asked.number, [1.0])
        assert ledger.counts()["complete"] == ledger.budget == expected
    runs = [
        (one.values["loss"], one.values["tricks.ema"], one.values["seed"])
        for one in place.open(more).trials()
    ]
    assert len(set(runs)) == 12


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_importances_are_those_of_what_was_searched(place: Place, method: str) -> None:
    ledger = place.open(replace(SWEEP, search=Random.Config()))
    for _ in range(30):
        asked = ask(ledger)
        ledger.complete(asked.number, [abs(math.log10(asked.values[X.path]) + 3)])
    reader = place.read(replace(SWEEP, search=Random.Config()))
    assert reader is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = reader.importances(method)
    assert sum(one.share for one in shares.values()) == pytest.approx(1.0)
    assert shares[X.path].share > shares[SIZE.path].share
    assert all(0 <= one.low < one.share < one.high <= 1 for one in shares.values())
    assert reader.importances(method) == shares


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_many_trials_come_back_as_they_were_written(place: Place, count: int) -> None:
    many = replace(SWEEP, search=Random.Config(), limits=Limits(trials=count))
    ledger = place.open(many)
    for number in range(count):
        asked = ask(ledger)
        assert asked.number == number
        ledger.report(number, measured(20, number / 7))
        ledger.complete(number, [number / 7])
    written = ledger.trials()
    reader = place.read(many)
    assert reader is not None
    assert reader.trials() == written
    assert [one.objective for one in written] == [(number / 7,) for number in range(count)]
    assert len({one.values[X.path] for one in written}) == count


def test_a_study_of_another_search_is_refused_and_left_alone(place: Place) -> None:
    before = drive(place, SWEEP)
    for other in (
        replace(SWEEP, base={**SWEEP.base, "steps": 30}),
        replace(SWEEP, parameters=(X,)),
        replace(SWEEP, objective=(Objective(metric="kid"),)),
    ):
        with pytest.raises(SpecConflict, match="probe"):
            place.open(other)
    assert place.open(SWEEP).trials() == before


def test_there_is_nothing_to_read_before_a_sweep_began(place: Place) -> None:
    assert place.read(SWEEP) is None
    place.open(replace(SWEEP, name="another"))
    assert place.read(SWEEP) is None


def test_optunas_own_tools_can_open_the_study(place: Place) -> None:
    records = drive(place, SWEEP)
    with place.optunas_own(SWEEP) as storage:
        study = optuna.load_study(study_name="probe", storage=storage)
        states = [trial.state for trial in study.trials]
        assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
        assert (study.best_value,) == records[0].objective
        assert study.trials[1].intermediate_values == records[1].curve("fid")


def test_several_sweeps_may_begin_at_once_in_a_storage_that_has_none(place: Place) -> None:
    by_chance = Random.Config()  # a model's warnings are silenced for one thread only
    sweeps = [replace(SWEEP, name=f"probe-{number}", search=by_chance) for number in range(6)]
    together = threading.Barrier(len(sweeps))
    errors: list[BaseException] = []

    def begin(sweep: Sweep) -> None:
        try:
            together.wait()
            ask(place.open(sweep))
        except BaseException as error:
            errors.append(error)

    drivers = [threading.Thread(target=begin, args=(sweep,)) for sweep in sweeps]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert errors == []
    for sweep in sweeps:
        reader = place.read(sweep)
        assert reader is not None
        assert len(reader.trials()) == 1


def test_a_database_that_was_started_again_in_between_is_found_again(
    tmp_path: Path, postgres: str, request: pytest.FixtureRequest
) -> None:
    place = PostgresPlace(tmp_path / "home", request)
    ledger = place.open(SWEEP)
    number = ask(ledger).number
    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    ledger.report(number, measured(20, 1.0))
    ledger.complete(number, [1.0])
    assert place.open(SWEEP).trial(number).objective == (1.0,)


@contextmanager
def of_others(place: Place, sweep: Sweep = SWEEP) -> Iterator[optuna.Study]:
    """The study as other people's programs open it."""
    with place.optunas_own(sweep) as storage:
        yield optuna.load_study(study_name=sweep.name, storage=storage)


def copied(place: Place, to: Path) -> Place:
    """A copy of the home, with its study in the same database, or a journal of its own."""
    shutil.copytree(place.home.path, to)
    other = copy.copy(place)
    other.home = Home(to)
    return other


def emptied(place: Place, to: Path) -> Place:
    """Another home on the same database, or with a copy of the journal and of nothing else."""
    other = copy.copy(place)
    other.home = Home(to)
    folder, there = place.home.sweep(SWEEP.name), other.home.sweep(SWEEP.name)
    there.create()
    if place.address is None:
        shutil.copy(folder.study_journal, there.study_journal)
    return other


def test_another_home_is_refused_until_it_adopts_the_study_and_then_the_first_is(
    place: Place, tmp_path: Path
) -> None:
    first = place.open(SWEEP)
    ask(first)
    other = emptied(place, tmp_path / "other")
    with pytest.raises(AnotherHome) as refused:
        other.open(SWEEP)
    assert str(refused.value).count("\n") == 0
    assert str(place.home.sweep("probe").path) in str(refused.value)
    assert "--adopt" in str(refused.value)
    if place.address is not None:
        with pytest.raises(AnotherHome):
            other.read(SWEEP)
    before = first.trials()
    ask(first)  # it has lost nothing by the other's attempt
    adopted = Ledger.open(SWEEP, other.home.sweep("probe"), other.address, adopt=True)
    assert adopted.trials()[0] == before[0]
    count = len(adopted.trials())
    assert ask(other.open(SWEEP)).number == count
    if place.address is not None:
        with pytest.raises(Superseded, match=r"now driven from .*other"):
            first.ask()
        with pytest.raises(AnotherHome):
            place.open(SWEEP)


def test_a_home_that_was_moved_goes_on_with_its_study(place: Place, tmp_path: Path) -> None:
    ask(place.open(SWEEP))
    other = copied(place, tmp_path / "moved")
    shutil.rmtree(place.home.path)
    if "sqlite" in str(place.address):
        shutil.copy(tmp_path / "moved" / "studies.db", tmp_path)
        other.address = f"sqlite:///{tmp_path}/studies.db"
    assert ask(other.open(SWEEP)).number == 1


def test_a_copy_of_a_home_does_not_share_its_study(place: Place, tmp_path: Path) -> None:
    first = place.open(SWEEP)
    ask(first)
    other = copied(place, tmp_path / "copy")
    if place.address is None:  # each has a journal of its own
        assert ask(other.open(SWEEP)).number == 1
        assert ask(first).number == 1
        return
    with pytest.raises(AnotherHome):
        other.open(SWEEP)
    assert ask(first).number == 1


def test_what_a_driver_writes_that_was_superseded_never_comes_into_the_study(place: Place) -> None:
    old = place.open(SWEEP)
    ask(old)
    new = place.open(SWEEP)
    before = new.trials()
    writes: list[Callable[[], object]] = [
        old.ask,
        lambda: old.ask_replicate(0, 3),
        lambda: old.started(0),
        lambda: old.mishaps.died(0),
        lambda: old.report(0, measured(10, 1.0)),
        lambda: old.complete(0, [1.0]),
        lambda: old.fail(0, "error", "no"),
        lambda: old.scored(0, FinalScore(20, {"fid": 1.0}, {})),
        lambda: old.use(Usage(9.0)),
        lambda: old.accompanied_by({"some": "1"}, {"some": 1}),
        old.plan,
    ]
    for write in writes:
        with pytest.raises(Superseded, match=r"attempt 2.*attempt 1, writes nothing more"):
            write()
    assert new.trials() == before
    assert (new.used, new.foreign_parts, new.readings, new.planned) == (Usage(), {}, {}, None)
    assert ask(new).number == 1


@pytest.mark.parametrize("every", EVERY)
def test_a_driver_killed_while_it_takes_up_an_enqueued_point_runs_it_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    point = {X.path: 3.0e-4}
    for write in itertools.count(every, every):
        sweep = replace(SWEEP, name=f"queue-{write}")
        ledger = place.open(sweep)
        ledger.complete(ask(ledger).number, [1.0])
        with of_others(place, sweep) as study:
            study.enqueue_trial(point)
        killed = False
        try:
            with killed_before(write, monkeypatch):
                ledger.ask()
        except Killed:
            killed = True
        records = drive(place, sweep)
        assert len(records) == 3
        assert [trial.values[X.path] for trial in records].count(3.0e-4) == 1
        assert all(trial.values[SIZE.path] in (16, 32, 64) for trial in records)
        if not killed:
            break
    assert write > 5


def test_choices_that_others_have_given_a_parameter_do_not_stop_the_search(place: Place) -> None:
    place.open(SWEEP)
    with of_others(place) as study:
        choices = {SIZE.path: CategoricalDistribution((16, 4096))}
        study.add_trial(create_trial(params={SIZE.path: 4096}, distributions=choices, value=0.0))
    records = drive(place, replace(SWEEP, limits=Limits(trials=5)))
    assert [trial.number for trial in records] == [1, 2, 3, 4, 5]
    assert {trial.values[SIZE.path] for trial in records} <= {16, 32, 64}


def test_a_study_that_is_gone_is_missed_and_not_begun_again(place: Place) -> None:
    ledger = place.open(SWEEP)
    ask(ledger)
    folder = place.home.sweep(SWEEP.name)
    if place.address is None:
        folder.study_journal.unlink()
    else:
        with place.optunas_own(SWEEP) as storage:
            optuna.delete_study(study_name=SWEEP.name, storage=storage)
        with pytest.raises(LedgerError, match="deleted by another program"):
            ledger.ask()
    for look in (place.open, place.read):
        with pytest.raises(LedgerError, match=r"is gone: restore study\.journal"):
            look(SWEEP)
    assert not folder.study_journal.exists()
