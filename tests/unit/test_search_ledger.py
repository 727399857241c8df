"""The ledger after every kind of sudden death."""

from __future__ import annotations

import errno
import math
import os
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from sweeper.ablation.search_statistics import TRIALS_PER_PARAMETER, too_few_to_tell
from sweeper.errors import LedgerError, SpecConflict, Superseded
from sweeper.home import Home, SweepFolder
from sweeper.search.ledger import Ledger
from sweeper.search.reader import read_study
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation, Symptom
from trials.health import Sign

SWEEP = Sweep(
    name="probe",
    base={"steps": 4},
    parameters=(Parameter("x", Range(0.0, 1.0)), Parameter("y", Range(0.0, 1.0))),
    search=Tpe.Config(start_with_base=False),
    limits=Limits(trials=9),
)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    made = Home(tmp_path).sweep("probe")
    made.create()
    return made


def study_of(folder: SweepFolder) -> optuna.Study:
    """The study as Optuna's own tools open it."""
    storage = JournalStorage(JournalFileBackend(str(folder.study_journal)))
    return optuna.load_study(study_name="probe", storage=storage)


def ended(folder: SweepFolder) -> Ledger:
    """A ledger with one trial of each kind."""
    ledger = Ledger.open(SWEEP, folder)
    for number in range(3):
        assert ledger.ask().number == number
        ledger.started(number)
        ledger.report(number, Evaluation(1, 10.0, {"fid": 3.0 - number}))
    ledger.complete(0, [3.0])
    ledger.prune(1, "scheduler", "not among the best")
    ledger.fail(2, "error", "ValueError: no", "the last line")
    return ledger


def test_each_trial_is_told_as_what_it_was_and_read_back_so(folder):
    ended(folder)
    records = read_study(SWEEP, folder).trials()
    assert [one.state for one in records] == ["completed", "pruned", "failed"]
    assert [one.objective for one in records] == [(3.0,), None, None]
    assert [one.cause for one in records] == [None, "scheduler", "error"]
    assert records[2].log_tail == "the last line"
    assert records[1].curve("fid") == {1: 2.0}
    assert all(one.seconds is not None and one.attempts == 1 for one in records)
    states = [trial.state for trial in study_of(folder).trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]


def test_optunas_own_tools_can_open_the_study(folder):
    ended(folder)
    study = study_of(folder)
    assert study.best_value == 3.0
    assert study.trials[1].intermediate_values == {1: 2.0}


def test_a_journal_cut_at_any_byte_opens_and_goes_on_with_every_number_once(folder):
    ended(folder)
    whole = folder.study_journal.read_bytes()
    begin = whole.index(b"\n", whole.index(b"fingerprint")) + 1
    for cut in range(begin, len(whole), 173):
        folder.study_journal.write_bytes(whole[:cut])
        (folder.path / "study.count").unlink()  # a kill comes before what was cut off is counted
        ledger = Ledger.open(SWEEP, folder)
        numbers = [one.number for one in ledger.trials()]
        assert numbers == list(range(len(numbers)))
        for asked in ledger.interrupted():
            assert set(asked.values) == {"x", "y"}
            ledger.report(asked.number, Evaluation(1, 10.0, {"fid": 1.0}))
            ledger.complete(asked.number, [1.0])
        assert ledger.ask().number == len(numbers)
        assert Ledger.open(SWEEP, folder).counts()["running"] == 1


def test_a_lock_left_by_a_killed_process_does_not_stall_the_next(folder):
    ended(folder)
    os.symlink(folder.study_journal, f"{folder.study_journal}.lock")
    began = time.monotonic()
    ledger = Ledger.open(SWEEP, folder)
    assert ledger.ask().number == 3
    assert time.monotonic() - began < 5


def the_next_driver(folder):
    Ledger.open(SWEEP, folder).started(0)


def whoever_has_waited_long_for_the_lock(folder):
    os.unlink(f"{folder.study_journal}.lock")


@pytest.mark.parametrize("took_over", [the_next_driver, whoever_has_waited_long_for_the_lock])
@pytest.mark.parametrize("writes", [True, False])
def test_a_driver_that_stood_still_inside_a_write_changes_nothing(folder, took_over, writes):
    lock = f"{folder.study_journal}.lock"
    frozen = Ledger.open(SWEEP, folder)
    frozen.ask()
    refused = pytest.raises(Superseded, match=r"study\.journal .* was stalled in a write")
    with refused if writes else nullcontext(), frozen.together():
        if writes:
            frozen._entries.set(0, "attempts", 7)
        took_over(folder)
        there = folder.study_journal.read_bytes()
        os.symlink(folder.study_journal, lock)
    assert folder.study_journal.read_bytes() == there
    assert os.path.lexists(lock), "it is the other one's"


def test_an_end_that_was_written_but_not_told_is_told_at_the_next_opening(folder, monkeypatch):
    ledger = Ledger.open(SWEEP, folder)
    ledger.ask()
    ledger.report(0, Evaluation(1, 10.0, {"fid": 2.5}))
    monkeypatch.setattr(ledger, "_tell", lambda *told: None)
    ledger.complete(0, [2.5])
    assert read_study(SWEEP, folder).trials()[0].state == "waiting"
    again = Ledger.open(SWEEP, folder)
    assert again.trials()[0].objective == (2.5,)
    assert again.interrupted() == []


def test_a_value_that_was_measured_but_not_reported_is_reported_at_the_next_opening(folder):
    ledger = Ledger.open(SWEEP, folder)
    trial_id = ledger.ask().number
    entry = {"metrics": {"fid": 2.5}, "time": 10.0}
    ledger._storage.set_trial_user_attr(trial_id, "step:1", entry)
    assert study_of(folder).trials[0].intermediate_values == {}
    again = Ledger.open(SWEEP, folder)
    assert study_of(folder).trials[0].intermediate_values == {1: 2.5}
    assert not again.report(0, Evaluation(1, 11.0, {"fid": 9.0}))


def test_an_evaluation_is_read_back_as_it_was_reported(folder):
    ledger = Ledger.open(SWEEP, folder)
    ledger.ask()
    sign = Sign.all()["oscillation"]
    swings = Symptom(sign.key, 2, {"swing": 0.5}, sign.advice, "samples jump")
    protocol = {"extractor": "digits", "fake_count": "64"}
    reported = (
        Evaluation(1, 10.0, {"fid": 3.0}, protocol, (), "samples/000001.png"),
        Evaluation(2, 11.0, {"fid": 2.0}, protocol, (swings,)),
        Evaluation(3, 12.0, {"fid": 9.0}, {**protocol, "weights": "averaged"}),
        Evaluation(4, 13.0, {"loss/generator": 1.0}),
    )
    for evaluation in reported:
        ledger.report(0, evaluation)
    [trial] = read_study(SWEEP, folder).trials()
    assert trial.evaluations == reported
    assert trial.protocol == {**protocol, "weights": "averaged"}
    assert trial.symptoms == (swings,)


def test_what_is_not_a_number_never_becomes_a_value(folder):
    ledger = Ledger.open(SWEEP, folder)
    ledger.ask()
    assert ledger.report(0, Evaluation(1, 10.0, {"fid": math.nan, "kid": 1.0}))
    assert not ledger.report(0, Evaluation(1, 10.0, {"fid": 1.0}))
    ledger.fail(0, "divergence", "fid is not finite")
    [record] = ledger.trials()
    assert record.curve("fid") == {}
    assert record.curve("kid") == {1: 1.0}
    assert study_of(folder).trials[0].values is None
    ledger.fail(0, "error", "told twice")
    assert ledger.trials()[0].cause == "divergence"


def test_a_full_disk_leaves_no_part_of_a_line_and_nothing_is_written_after_it(folder, monkeypatch):
    ledger = ended(folder)
    before = folder.study_journal.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LedgerError, match="No space left"):
            ledger.ask()
    with pytest.raises(LedgerError, match="No space left"):
        ledger.ask()
    content = folder.study_journal.read_bytes()
    assert content.startswith(before)
    assert content.endswith(b"\n")
    assert len(Ledger.open(SWEEP, folder).trials()) in (3, 4)


def test_a_full_disk_takes_all_of_an_evaluation_or_nothing(folder, monkeypatch):
    ledger = Ledger.open(SWEEP, folder)
    ledger.ask()
    before = folder.study_journal.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LedgerError):
            ledger.report(0, Evaluation(1, 10.0, {"fid": 1.0}))
    assert folder.study_journal.read_bytes() == before


def test_reading_a_study_leaves_its_file_alone(folder):
    ended(folder)
    os.utime(folder.study_journal, ns=(1, 1))
    assert len(read_study(SWEEP, folder).trials()) == 3
    assert folder.study_journal.stat().st_mtime_ns == 1


def test_a_damaged_line_is_named(folder):
    ended(folder)
    lines = folder.study_journal.read_bytes().splitlines(keepends=True)
    lines[3] = b'{"op_code": 4, "wor\n'
    folder.study_journal.write_bytes(b"".join(lines))
    with pytest.raises(LedgerError, match=r"line 4 of .*study.journal"):
        Ledger.open(SWEEP, folder)


def test_deaths_are_counted_anew_when_a_trial_got_further_in_between(folder):
    ledger = Ledger.open(SWEEP, folder)
    ledger.ask()
    assert [ledger.mishaps.died(0, "a"), ledger.mishaps.died(0, "b")] == [
        (0, {"a": 1}),
        (0, {"a": 1, "b": 1}),
    ]
    ledger.report(0, Evaluation(1, 10.0, {"fid": 1.0}))
    assert [ledger.mishaps.died(0, "a"), ledger.mishaps.died(0, "a")] == [
        (1, {"a": 1}),
        (1, {"a": 2}),
    ]


def test_a_study_of_another_search_is_refused(folder):
    ended(folder)
    other = Sweep(name="probe", base={"steps": 5}, parameters=SWEEP.parameters)
    with pytest.raises(SpecConflict):
        Ledger.open(other, folder)


def test_there_is_nothing_to_read_before_a_sweep_began(folder):
    assert read_study(SWEEP, folder) is None
    assert not folder.study_journal.exists()


@pytest.mark.parametrize(
    ("sizes", "limit", "trials"),
    [("[16, 32]", "null", 7), ("[32, 64]", "null", 6), ("[16, 32]", "4", 4), ("[16, 32]", "40", 7)],
)
def test_a_grid_is_planned_with_all_that_it_asks_for(
    tmp_path: Path, sizes: str, limit: str, trials: int
) -> None:
    sweep = parse_sweep(
        f"name: g\nbase: {{data: digits}}\nsearch: {{sampler: grid}}\nlimits: {{trials: {limit}}}\n"
        f"parameters: {{batch_size: {{values: {sizes}}}, seed: {{values: [0, 1, 2]}}}}\n"
    )
    folder = Home(tmp_path).sweep("g")
    folder.create()
    ledger = Ledger.open(sweep, folder)
    assert ledger.plan() == trials
    asked = 0
    while asked < (sweep.limits.trials or 100) and ledger.ask() is not None:
        asked += 1
    assert asked == ledger.plan() == trials
    assert read_study(sweep, folder).planned == trials


def test_importances_are_told_from_enough_trials_on_and_without_a_library_s_warnings(
    tmp_path: Path,
) -> None:
    parameters = 3
    sweep = parse_sweep(
        "name: s\nbase: {data: digits}\nlimits: {trials: 15}\n"
        "search: {sampler: random, seed: 3}\n"
        "parameters:\n  optimizer.generator.lr: {min: 1.0e-4, max: 1.0e-2}\n"
        "  tricks.ema: {toggle: true}\n  tricks.ema.decay: {min: 0.9, max: 0.99}\n"
    )
    folder = Home(tmp_path).sweep("s")
    folder.create()
    ledger = Ledger.open(sweep, folder)
    wanted = TRIALS_PER_PARAMETER * parameters
    for value in range(wanted + 1):  # the base is one of them
        for method in ("ped_anova", "fanova"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                shares = ledger.importances(method)
            assert bool(shares) == (value >= wanted), (value, method)
        asked = ledger.ask()
        assert asked is not None
        ledger.started(asked.number)
        ledger.complete(asked.number, [float(value)])
    told = too_few_to_tell(8, parameters)
    assert told.startswith("too few trials to tell: 8 completed with 3 searched parameters")
    assert told.endswith(f"takes {TRIALS_PER_PARAMETER} for each, {wanted} in all")
    assert too_few_to_tell(wanted, parameters) == ""


@pytest.mark.parametrize(("metric", "goal"), [("fid", "minimize"), ("recall", "maximize")])
def test_importances_of_two_objectives_ask_for_the_best_not_for_the_lowest(
    metric: str, goal: str, tmp_path: Path
) -> None:
    """The critic's steps decide who is best, the other parameter who is worst."""
    sweep = parse_sweep(
        "name: s\nbase: {data: digits}\nlimits: {trials: 80}\n"
        "search: {sampler: random, seed: 3}\n"
        "parameters:\n  critic_steps: {values: [1, 2, 3, 4]}\n"
        "  batch_size: {values: [16, 32, 64, 128]}\n"
        f"objective:\n  - {{metric: {metric}, goal: {goal}}}\n"
        "  - {metric: precision, goal: maximize}\n"
    )
    folder = Home(tmp_path).sweep("s")
    folder.create()
    ledger = Ledger.open(sweep, folder)
    sign = -1.0 if goal == "minimize" else 1.0
    for number in range(80):
        asked = ledger.ask()
        assert asked is not None
        ledger.started(asked.number)
        best, worst = asked.values["critic_steps"] == 4, asked.values["batch_size"] == 16
        score = -10.0 if worst else 10.0 if best else 0.0
        ledger.complete(asked.number, [sign * score + 1e-3 * number, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ledger.importances()
    assert found["critic_steps"].share > found["batch_size"].share
