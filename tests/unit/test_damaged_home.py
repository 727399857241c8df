"""Files of a home that were damaged: one clear sentence each, from every command."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import load_study

from sweeper import results
from sweeper.cli.main import run
from sweeper.errors import LedgerError, SweeperError
from sweeper.home import Home, SweepFolder
from sweeper.scheduling.run import run as run_sweep
from sweeper.search.ledger import Ledger
from sweeper.search.reader import read_study
from sweeper.sweepfile import parse_sweep
from sweeper.trial import Evaluation

SWEEP = parse_sweep("""
name: probe
base: {data: digits, steps: 10}
parameters: {optimizer.generator.lr: {min: 1.0e-4, max: 1.0e-2}}
search: {sampler: random, start_with_base: false}
limits: {trials: 3}
seeds: {confirm_top: 0}
""")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished sweep, and everything that lies in its folder."""
    home = Home(tmp_path_factory.mktemp("home"))
    folder = home.sweep("probe")
    folder.create()
    folder.spec_json.write_text(json.dumps(SWEEP.to_dict()))
    finish(Ledger.open(SWEEP, folder), 3)
    run_sweep(SWEEP, home, record=False, report=False)
    results.dataset_of(folder, SWEEP)
    return home.path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> SweepFolder:
    """The sweep of a copy of that home."""
    return Home(Path(shutil.copytree(original, tmp_path / "home"))).sweep("probe")


def finish(ledger: Ledger, trials: int) -> None:
    for _ in range(trials):
        asked = ledger.ask()
        assert asked is not None
        ledger.started(asked.number)
        ledger.report(asked.number, Evaluation(10, 1.0, {"fid": 5.0 + asked.number}))
        ledger.complete(asked.number, [5.0 + asked.number])


def lines_of(folder: SweepFolder) -> list[bytes]:
    return folder.study_journal.read_bytes().splitlines(keepends=True)


FILES = (
    *("control", "lock", "study.journal", "study.count", "identity", "spec.json", "sweep.yaml"),
    *("driver", "trials.parquet", "trials", "report"),
)
DAMAGES: dict[str, bytes | None] = {
    "no_utf8": b"\xff\xfe\x00pause\n",
    "nothing": b"",
    "deeply_nested": b"[" * 100_000,
    "nested": b'{"base":' * 900 + b"1" + b"}" * 900,
    "list": b"[1, 2]\n",
    "folder": None,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_answered_in_a_sentence_by_every_command(
    name: str,
    damage: str,
    folder: SweepFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder.path.parent.parent)
    place, content = folder.path / name, DAMAGES[damage]
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    home = folder.path.parent
    for command in (
        ["ls"],
        ["status", "probe"],
        ["top", "probe"],
        ["table", "probe"],
        ["export", "probe"],
    ):
        status = run([*command, "--home", str(home)])
        said = capsys.readouterr()
        assert status in (0, 1, 2), command
        assert (status == 0) == (said.err == ""), command
        assert "Traceback" not in said.err
        assert "Errno" not in said.err
        assert said.err.count("sweeper: ") == (status != 0)
    try:
        said_by_run = run_sweep(SWEEP, Home(home), record=False, report=False).message
    except SweeperError as error:
        said_by_run = str(error)
    assert "Errno" not in said_by_run


@pytest.mark.parametrize("content", [b"\xff\xfe", b"pause!", b"\x00" * 10_000])
def test_a_control_file_that_is_no_request_is_named_and_does_not_stop_a_running_driver(
    content: bytes, folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.control.write_bytes(content)
    for command in (["status", "probe"], ["ls"]):
        assert run([*command, "--home", str(folder.path.parent)]) != 0
        said = capsys.readouterr().err
        assert f"{folder.control} holds" in said
        assert "expected one of pause, stop, cancel: remove the file" in said


@pytest.mark.parametrize(
    "line",
    [
        b"[1, 2]",
        b"7",
        b'"pause"',
        b"{}",
        b'{"op_code": 99, "worker_id": "x"}',
        b'{"op_code": 4, "worker_id": "x"}',
        b'{"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": 7}',
        b'{"op_code": 0, "worker_id": "x", "study_name": "y", "directions": ["up"]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_line_of_the_journal_that_is_no_operation_is_named(
    line: bytes, folder: SweepFolder
) -> None:
    ledger = Ledger.open(SWEEP, folder)
    lines = lines_of(folder)
    folder.study_journal.write_bytes(b"".join([*lines, line + b"\n"]))
    told = rf"line {len(lines) + 1} of .*study\.journal is (not an operation of a study|damaged)"
    for look in (Ledger.open, read_study):
        with pytest.raises(LedgerError, match=told):
            look(SWEEP, folder)
    with pytest.raises(LedgerError, match=told):
        ledger.ask()


@pytest.mark.parametrize("lost", [-1, 12])
def test_a_journal_that_lost_an_operation_is_refused_until_that_is_accepted(
    lost: int, folder: SweepFolder
) -> None:
    lines = lines_of(folder)
    del lines[lost]
    folder.study_journal.write_bytes(b"".join(lines))
    count = len(lines) + 1
    told = rf"study\.journal lacks 1 of the {count} operations .* remove study\.count beside it"
    for look in (Ledger.open, read_study):
        with pytest.raises(LedgerError, match=told):
            look(SWEEP, folder)
    (folder.path / "study.count").unlink()
    finish(Ledger.open(SWEEP, folder), 1)
    assert read_study(SWEEP, folder) is not None


def test_what_others_write_into_the_journal_does_not_make_up_for_what_is_lost(
    folder: SweepFolder,
) -> None:
    storage = JournalStorage(JournalFileBackend(str(folder.study_journal)))
    load_study(study_name="probe", storage=storage).set_user_attr("note", '"by":"sweeper"}')
    finish(Ledger.open(SWEEP, folder), 1)
    lines = lines_of(folder)
    folder.study_journal.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(LedgerError, match="lacks 1 of the"):
        read_study(SWEEP, folder)
    theirs = next(line for line in lines if not line.endswith(b'"by":"sweeper"}\n'))
    folder.study_journal.write_bytes(b"".join(line for line in lines if line != theirs))
    assert read_study(SWEEP, folder) is not None


def cut(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-200])


@pytest.mark.parametrize("harm", [cut, Path.unlink])
def test_a_journal_harmed_under_a_running_driver_gets_no_further_line(
    harm: Callable[[Path], None], folder: SweepFolder
) -> None:
    ledger = Ledger.open(SWEEP, folder)
    harm(folder.study_journal)
    before = folder.study_journal.exists() and folder.study_journal.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"study\.journal"):
            ledger.ask()
    assert (folder.study_journal.exists() and folder.study_journal.read_bytes()) == before


def test_a_spec_of_a_later_version_is_refused_with_what_is_unknown(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = json.loads(folder.spec_json.read_text())
    folder.spec_json.write_text(json.dumps({**spec, "teleport": {"range": 3}}))
    assert run(["status", "probe", "--home", str(folder.path.parent)]) == 2
    said = capsys.readouterr().err
    assert "spec.json: teleport: there is no such section" in said


def test_a_dataset_is_served_again_only_where_the_study_is_the_one_it_was_made_of(
    folder: SweepFolder,
) -> None:
    file = results.dataset_file(folder)
    made = file.read_bytes()
    assert len(results.dataset_of(folder, SWEEP)) == 3
    assert file.read_bytes() == made
    finish(Ledger.open(SWEEP, folder), 2)
    os.utime(folder.study_journal, (1, 1))  # as in a copy that keeps no times
    assert len(results.dataset_of(folder, SWEEP)) == 5
    os.utime(file, (1, 1))
    kept = file.stat().st_ino
    assert len(results.dataset_of(folder, SWEEP)) == 5
    assert file.stat().st_ino == kept
