"""Where studies are kept: what is said of an address that cannot be used."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.cli.main import run
from sweeper.errors import LedgerError
from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits

SWEEP = Sweep(
    name="kept",
    base={"data": {"name": "digits"}},
    parameters=(Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True)),),
    limits=Limits(trials=3),
)


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("no address", 2, "expected postgresql+psycopg://"),
        ("oracle-of-delphi://host/x", 2, "expected postgresql+psycopg://"),
        ("postgresql+psycopg2://host/x", 2, "gan-sweeper[cluster]"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", 1, "refused"),
        ("postgresql+psycopg://127.0.0.1:1/x?user=me&password=secret", 1, "refused"),
        ("postgresql+psycopg://127.0.0.1:1/x?sslpasword=secret", 1, "sslpasword"),
        ("sqlite:////no/such/folder/studies.db", 1, "unable to open"),
    ],
)
def test_an_address_that_cannot_be_used_is_answered_in_one_sentence_without_its_password(
    address: str,
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Home(tmp_path).sweep("kept")
    folder.create()
    folder.spec_json.write_text(json.dumps(SWEEP.to_dict()))
    monkeypatch.setenv("SWEEPER_STORAGE", address)
    assert run(["top", "kept", "--home", str(tmp_path)]) == status
    said = capsys.readouterr().err
    assert words in said
    assert "secret" not in said
    assert said.count("\n") == 1


def test_a_preview_leaves_the_database_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "studies.db"
    monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{database}")
    file = tmp_path / "kept.yaml"
    file.write_text(
        "name: kept\nbase: {data: digits}\nlimits: {trials: 3}\n"
        "parameters: {optimizer.generator.lr: {min: 1.0e-4, max: 1.0e-2}}\n"
    )
    assert run(["preview", str(file), "--no-probe", "--home", str(tmp_path)]) == 0
    assert "3 trials" in capsys.readouterr().out
    assert not database.exists()


def test_what_the_database_says_is_said_and_not_what_optuna_makes_of_it(tmp_path: Path) -> None:
    folder = Home(tmp_path).sweep("kept")
    folder.create()
    file = tmp_path / "studies.db"
    ledger = Ledger.open(SWEEP, folder, f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP TABLE trial_user_attributes")
    with pytest.raises(LedgerError, match=r"^cannot use the study: no such table: trial_user"):
        ledger.ask()
