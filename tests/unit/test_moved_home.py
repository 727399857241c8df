"""A home that moves takes along what it knows of its own files: nothing leads to the old place."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.scheduling.working.kept_checkpoints import begin
from sweeper.scheduling.working.messages import Work
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.moved import follow_home
from sweeper.tracking.outbox import Outbox
from sweeper.tracking.receipts import Receipts


def database(home: Path, recorded_in: Path, experiment: str = "my digits") -> str:
    """The tables of MLflow that hold addresses, filled as for a home that lay in `recorded_in`."""
    root = (recorded_in / "mlartifacts" / experiment).as_uri()
    (home / "mlartifacts" / experiment).mkdir(parents=True)
    with closing(sqlite3.connect(home / "mlflow.db")) as made, made:
        made.executescript(
            """CREATE TABLE experiments (name, artifact_location);
            CREATE TABLE runs (artifact_uri);
            CREATE TABLE logged_models (artifact_location);
            CREATE TABLE model_versions (source);  -- as of a version without storage_location
            """
        )
        made.execute("INSERT INTO experiments VALUES (?, ?)", (experiment, root))
        made.execute("INSERT INTO experiments VALUES ('mine', 's3://bucket/mlartifacts/mine')")
        made.executemany("INSERT INTO runs VALUES (?)", [(f"{root}/1/artifacts",), (f"{root}2/1",)])
        made.execute("INSERT INTO logged_models VALUES (?)", (f"{root}/models/m-1/artifacts",))
        made.execute("INSERT INTO model_versions VALUES ('models:/m-1')")
    return f"sqlite:///{home}/mlflow.db"


def addresses(home: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(home / "mlflow.db")) as opened:
        return {
            table: [row[0] for row in opened.execute(f"SELECT {column} FROM {table}")]
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "source"),
            )
        }


def test_mlflow_finds_the_artifacts_of_a_moved_home_where_they_are(tmp_path: Path) -> None:
    old, new = tmp_path / "50% [old]", tmp_path / "new place"
    uri = database(new, recorded_in=old)
    said = follow_home(uri, new / "mlartifacts")
    assert str(old) in said
    assert "my digits" in said.replace("%20", " ")
    root = (new / "mlartifacts" / "my digits").as_uri()
    elsewhere = (old / "mlartifacts" / "my digits").as_uri() + "2/1"
    assert addresses(new) == {
        "experiments": [root, "s3://bucket/mlartifacts/mine"],
        "runs": [f"{root}/1/artifacts", elsewhere],
        "logged_models": [f"{root}/models/m-1/artifacts"],
        "model_versions": ["models:/m-1"],
    }
    assert follow_home(uri, new / "mlartifacts") == ""


def test_a_copied_home_writes_into_itself_and_leaves_the_first_alone(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    database(old, recorded_in=old)
    before = addresses(old)
    shutil.copytree(old, new)
    assert follow_home(f"sqlite:///{new}/mlflow.db", new / "mlartifacts")
    assert addresses(new)["experiments"][0] == (new / "mlartifacts" / "my digits").as_uri()
    assert addresses(old) == before


@pytest.mark.parametrize("case", ["a link", "another home's sweep", "a database elsewhere"])
def test_artifacts_that_are_where_they_are_said_to_be_stay_there(case: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    artifacts = here / "mlartifacts"
    uri = database(here, recorded_in=there)
    if case == "a link":
        there.symlink_to(here)
    elif case == "another home's sweep":
        (there / "mlartifacts" / "my digits").mkdir(parents=True)
        (artifacts / "my digits").rmdir()
    else:
        artifacts = tmp_path / "third" / "mlartifacts"
    before = addresses(here)
    assert follow_home(uri, artifacts) == ""
    assert addresses(here) == before


def test_a_damaged_database_is_left_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    assert follow_home(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts") == ""


def test_what_waits_in_a_moved_outbox_is_found_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "digits", tmp_path / "new" / "digits"
    grid = old / "trials" / "00000" / "000250.png"
    grid.parent.mkdir(parents=True)
    grid.write_bytes(b"png")

    def say(folder: Path) -> None:
        with Outbox(folder / "outbox.db") as outbox:
            outbox.sweep_started("digits", study="id")
            outbox.trial_started(0)
            outbox.artifact(0, folder / "trials" / "00000" / "000250.png", "samples/000250.png")
            outbox.model(0, folder / "trials" / "00000")

    say(old)
    old.parent.rename(new.parent)
    with Backlog(new / "outbox.db") as backlog:
        (file,), (model,) = backlog.files(0), backlog.models(0)
        assert file.path == new / "trials" / "00000" / "000250.png"
        assert model.folder == new / "trials" / "00000"
        receipts = Receipts(backlog)
        receipts.sent_file(0, file)
        receipts.sent_model(0, model, "models:/m-1")
    say(new)
    with Backlog(new / "outbox.db") as backlog:
        assert backlog.files(0) == []
        assert backlog.models(0) == []


def test_a_moved_outbox_with_absolute_paths_finds_its_files_too(tmp_path: Path) -> None:
    new = tmp_path / "new" / "digits"
    (new / "trials").mkdir(parents=True)
    (new / "trials" / "grid.png").write_bytes(b"png")
    with Outbox(new / "outbox.db") as outbox:
        outbox.sweep_started("digits", study="id")
        outbox.trial_started(0)
        outbox.artifact(0, new / "trials" / "grid.png", "grid.png")
    with closing(sqlite3.connect(new / "outbox.db")) as opened, opened:
        opened.execute("UPDATE files SET path = '/old/digits/home/digits/trials/grid.png'")
    with Backlog(new / "outbox.db") as backlog:
        assert backlog.files(0)[0].path == new / "trials" / "grid.png"


@pytest.mark.parametrize("written", ["00003/kept/000500", "/old/digits/trials/00003/kept/000500"])
def test_a_takeover_is_not_repeated_because_the_home_has_moved(
    written: str, tmp_path: Path
) -> None:
    class Training:
        history = ()
        did = ""

        def restore(self) -> bool:
            self.did = "restored"
            return True

        def take_over(self, place: Path) -> None:
            self.did = f"took over {place}"

    def begun(donor: str) -> Any:
        training = Training()
        begin(training, tmp_path, Work(7, str(tmp_path), "", {}, take_over=donor))
        return training.did

    donors = [tmp_path / f"trials/0000{number}/kept/000500" for number in (3, 4)]
    for place in donors:
        place.mkdir(parents=True)
    donor = str(donors[0])
    assert begun(donor) == f"took over {donor}"
    (tmp_path / "taken_over").write_text(written)
    assert begun(donor) == "restored"
    assert begun(str(donors[1])).startswith("took over")
