"""The digest of a study spares its readers the journal, and is never believed against it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from sweeper.errors import LedgerError
from sweeper.home import Home, SweepFolder
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.digest import FORMAT, Digest
from sweeper.search.ledger import Ledger
from sweeper.search.looking import read_all
from sweeper.search.reader import read_study
from sweeper.search.samplers.random import Random
from sweeper.search.stored_trial import StoredTrial
from sweeper.standings.forecast import forecast_of
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation, FinalScore, Symptom

SWEEP = Sweep(
    name="read",
    base={"data": {"name": "digits"}, "steps": 20},
    parameters=(Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=100),
)
PROTOCOL = {"extractor": "digits", "reference": "0123"}


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    folder = Home(tmp_path).sweep("read")
    folder.create()
    keep_spec(SWEEP, folder, None)
    return folder


def train(ledger: Ledger, end: str = "completed", of: int | None = None) -> int:
    trial = ledger.ask() if of is None else ledger.ask_replicate(of, 7)
    assert trial is not None
    number = trial.number
    ledger.started(number)
    seen = Symptom("mode_collapse", 10, {"reached": 0.4}, "see there", "4 of 10 “modes”")
    symptoms = (seen,) if number % 2 else ()
    ledger.report(number, Evaluation(10, 1.5, {"fid": 9.0 + number}, PROTOCOL, symptoms, "a.png"))
    if end == "completed":
        ledger.report(number, Evaluation(20, 2.5, {"fid": 3.0 + number}, PROTOCOL))
        ledger.complete(number, [3.0 + number])
    elif end == "failed":
        ledger.fail(number, "error", "ValueError: no", "last line\n")
    return number


def same(folder: SweepFolder) -> None:
    """What is looked at is what the journal says."""
    looked, foreign = read_all(folder)
    study = read_study(SWEEP, folder)
    assert study is not None
    standings = study.standings()
    assert looked.trials == standings.trials
    assert [one.as_dict() for one in looked.trials] == [one.as_dict() for one in standings.trials]
    assert [one.pace for one in looked.trials] == [one.pace for one in standings.trials]
    assert (looked.protocol, looked.planned) == (standings.protocol, standings.planned)
    assert foreign == study.foreign()


def test_it_follows_a_study_through_all_that_happens_to_a_trial(folder: SweepFolder) -> None:
    ledger = Ledger.open(SWEEP, folder)
    ledger.plan()
    same(folder)
    for end in ("completed", "failed", "running"):
        train(ledger, end)
        same(folder)
    assert ledger.retry(["error"]) == [1]
    same(folder)
    ledger.report(1, Evaluation(20, 9.0, {"fid": 2.0}, PROTOCOL))
    ledger.complete(1, [2.0])
    train(ledger, of=0)
    ledger.scored(1, FinalScore(20, {"fid_5k": 2.1}, PROTOCOL))
    ledger._study.enqueue_trial({"optimizer.generator.lr": 1e-3})
    ledger._study.ask()  # another program takes that up, and ends it
    ledger._study.tell(5, 1.0)
    ledger.begin_anew(2)
    ledger.noted(2, "its checkpoint was damaged")
    same(folder)
    again, _ = read_all(folder)
    assert all(isinstance(one, StoredTrial) for one in again.trials if one.final is None)
    assert again.trials[1].symptoms[0].note == "4 of 10 “modes”"
    ledger._study.tell(2, 5.0)  # another program ends a trial of the sweep's own
    same(folder)


def cut_short(folder: SweepFolder) -> None:
    folder.study_digest.write_bytes(folder.study_digest.read_bytes()[:-20])


def of_another_version(folder: SweepFolder) -> None:
    folder.study_digest.write_bytes(
        folder.study_digest.read_bytes().replace(f'"format":{FORMAT}'.encode(), b'"format":9')
    )


def without(folder: SweepFolder) -> None:
    folder.study_digest.unlink()


@pytest.mark.parametrize("harm", [cut_short, of_another_version, without])
def test_where_it_is_damaged_or_missing_the_journal_is_read(
    harm: Callable[[SweepFolder], None], folder: SweepFolder
) -> None:
    train(Ledger.open(SWEEP, folder))
    same(folder)
    harm(folder)
    assert Digest.read(folder.study_digest) is None
    same(folder)
    assert Digest.read(folder.study_digest) is not None


def test_how_far_a_sweep_is_is_told_by_the_heads_of_its_trials_alone(folder: SweepFolder) -> None:
    ledger = Ledger.open(SWEEP, folder)
    ledger.measuring.admit(0, PROTOCOL)
    for end in ("completed", "failed", "running"):
        train(ledger, end)
    read_all(folder)
    standings, _ = read_all(folder)
    assert standings.stops[0].steps == 10
    assert forecast_of(standings).seconds is not None
    decoded = [trial.number for trial in standings.trials if "_body" in vars(trial)]
    assert decoded == [0], "of one evaluation it is seen that the study's protocol holds"


@pytest.fixture
def database(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of one that holds the study of the folder."""
    address = f"sqlite:///{folder.path.parent}/studies.db"
    monkeypatch.setenv("SWEEPER_STORAGE", address)
    train(Ledger.open(SWEEP, folder))
    return address


def test_of_a_database_that_has_nothing_new_it_is_read_without_optuna(
    database: str, folder: SweepFolder
) -> None:
    same(folder)
    code = (
        "import sys; from sweeper.cli.main import run; run(['status', 'read']); "
        "print([m for m in ('optuna', 'sqlalchemy', 'alembic', 'numpy') if m in sys.modules])"
    )
    given = {**os.environ, "SWEEPER_HOME": str(folder.path.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True
    )
    assert "1 completed; 1 of 100 over" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("lost", ["a trial's end", "trials", "a trial that ran"])
def test_of_a_database_brought_back_from_an_older_copy_it_is_read_anew(
    lost: str, database: str, folder: SweepFolder
) -> None:
    file = Path(database.removeprefix("sqlite:///"))
    ledger = Ledger.open(SWEEP, folder)
    if lost == "a trial's end":
        train(ledger, "running")
    with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(f"{file}.copy")) as copy:
        now.backup(copy)
    if lost == "a trial's end":
        ledger.complete(1, [4.0])
    else:
        train(ledger, "running" if lost == "a trial that ran" else "completed")
    same(folder)
    with closing(sqlite3.connect(f"{file}.copy")) as copy, closing(sqlite3.connect(file)) as now:
        copy.backup(now)
    same(folder)
    train(Ledger.open(SWEEP, folder), "failed")  # what was lost is made again, with its number
    same(folder)


def by_an_address_of_another_kind(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", address.replace("sqlite:", "sqlite+pysqlite:"))


def by_tables_of_another_version(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.search.tables.KNOWN", "v9.0.0.a")


@pytest.mark.parametrize("change", [by_an_address_of_another_kind, by_tables_of_another_version])
def test_of_a_database_that_is_not_known_optuna_reads_the_study(
    change: Callable[[str, pytest.MonkeyPatch], None],
    database: str,
    folder: SweepFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(database, monkeypatch)
    same(folder)
    assert not folder.study_digest.exists()


def test_a_copy_of_its_trials_with_other_values_is_whole(folder: SweepFolder) -> None:
    train(Ledger.open(SWEEP, folder))
    read_all(folder)
    (trial,) = read_all(folder)[0].trials
    assert isinstance(trial, StoredTrial)
    copy = replace(trial, reason="looked at")
    assert (copy.steps, copy.protocol) == (trial.steps, trial.protocol) == (20, PROTOCOL)
    assert copy.as_dict() == {**trial.as_dict(), "reason": "looked at"}


def test_of_another_journal_it_says_nothing(folder: SweepFolder, tmp_path: Path) -> None:
    ledger = Ledger.open(SWEEP, folder)
    train(ledger)
    copy = folder.study_journal.read_bytes()
    for _ in range(3):
        train(ledger)
    same(folder)
    folder.study_journal.with_suffix(".count").unlink()
    folder.study_journal.write_bytes(copy)  # brought back from an older copy
    same(folder)
    ledger = Ledger.open(SWEEP, folder)
    while folder.study_journal.stat().st_size < 4 * len(copy):
        train(ledger, "failed")
    same(folder)


def test_operations_that_were_lost_are_missed_as_before(folder: SweepFolder) -> None:
    ledger = Ledger.open(SWEEP, folder)
    train(ledger)
    same(folder)
    train(ledger)
    lines = folder.study_journal.read_bytes().splitlines(keepends=True)
    folder.study_journal.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(LedgerError, match="lacks 1 of the"):
        read_all(folder)


def test_a_home_that_cannot_be_written_is_read(folder: SweepFolder) -> None:
    train(Ledger.open(SWEEP, folder))
    refused = mock.patch("sweeper.search.digest.atomic_write", side_effect=PermissionError)
    with refused:
        same(folder)
    assert not folder.study_digest.exists()


def test_while_a_driver_writes_only_much_that_is_new_is_written_down(folder: SweepFolder) -> None:
    ledger = Ledger.open(SWEEP, folder)
    train(ledger)
    same(folder)
    before = folder.study_digest.read_bytes()
    with folder.lock():
        train(ledger)
        same(folder)
        assert folder.study_digest.read_bytes() == before
    same(folder)
    header = json.loads(folder.study_digest.read_bytes().splitlines()[1])
    assert header["offset"] == os.path.getsize(folder.study_journal)
