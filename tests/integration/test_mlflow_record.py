"""What a sweep leaves in a real MLflow, in its database and through its server."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import pytest
from alembic import op

from sweeper.tracking import SWEEP, Outbox, start_writer, sync
from sweeper.tracking.moved import follow_home
from sweeper.tracking.runs import find_runs
from sweeper.tracking.store import Store
from tests.recorded import artifact_names, datasets, download, metric_history

WHEN = 1_700_000_000.25


def say_everything(outbox: Outbox, folder: Path) -> None:
    """A small sweep: one trial that completed, its replicate, one that failed."""
    folder.mkdir(exist_ok=True)
    grid = folder / "000250.png"
    grid.write_bytes(b"\x89PNG first grid")
    config = folder / "config.json"
    config.write_text(json.dumps({"loss": "hinge"}))
    many = {f"layer{n}": {"width": n, "name": "x" * n} for n in range(120)}
    outbox.sweep_started("digits", study=f"study-{folder}", note="what it is")
    outbox.trial_started(
        0,
        params={"optimizer": {"lr": 1e-4, "betas": [0.5, 0.9]}, "loss": "hinge", "wide": many},
        tags={"sweeper.tricks": "ema, spectral_norm", "sweeper.data": "sha256:abc"},
        note="**Trial 0** before",
        time=WHEN,
    )
    for step in (250, 500):
        values = {"fid": 100.0 / step, "fid/class_3": 1.0, "precision": float("nan")}
        outbox.evaluated(0, step, values, WHEN + step)
    measured = {"data": "digits", "data_hash": "c0" * 32, "intake": "1 of 1798 pictures skipped"}
    outbox.tagged(0, {f"protocol.{name}": text for name, text in measured.items()})
    outbox.artifact(0, grid, "samples/000250.png")
    outbox.artifact(0, config, "config.json")
    outbox.trial_ended(
        0, "completed", tags={"sweeper.symptom": "none"}, note="**Trial 0** after", time=WHEN + 600
    )
    outbox.trial_started(1, params={"seed": 1}, parent=0, time=WHEN)
    outbox.trial_ended(1, "pruned", time=WHEN + 1)
    outbox.trial_started(2, params={"text": "é" * 9000}, time=WHEN)
    outbox.trial_ended(2, "failed", tags={"sweeper.symptom": "divergence"}, time=WHEN + 1)
    outbox.table("ablation", {"trick": ["ema", "none"], "fid": [1.5, float("nan")]})
    outbox.sweep_ended("finished")


def record(path: Path, uri: str) -> None:
    with Outbox(path / "outbox.db") as outbox:
        with start_writer(outbox, uri, path / "mlartifacts") as writer:
            say_everything(outbox, path / "trial")
            outbox.artifact(0, path / "trial" / "config.json", "checkpoint.pt")
            outbox.let_go(1, ["checkpoint.pt"])  # which it never had
            assert not writer.drain(timeout=90)
            study = f"study-{path / 'trial'}"
            assert "checkpoint.pt" in artifact_names(uri, by_trial(uri, study)["00000"]["run_id"])
            outbox.let_go(0, ["checkpoint.pt"])
            left = writer.drain(timeout=90)
        assert not left, left.advice("digits")


def by_trial(uri: str, study: str) -> dict[str, dict[str, Any]]:
    runs = [run for run in find_runs(uri, "digits") if run["tags"]["sweeper.study"] == study]
    found = {run["tags"]["sweeper.trial"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def test_a_sweep_is_recorded_whole_and_saying_it_again_adds_nothing(
    tmp_path: Path, uri: str
) -> None:
    record(tmp_path, uri)
    study = f"study-{tmp_path / 'trial'}"
    runs = by_trial(uri, study)
    before = {name: run["run_id"] for name, run in runs.items()}

    assert set(runs) == {"sweep", "00000", "00001", "00002"}
    assert [runs[name]["status"] for name in sorted(runs)] == [
        "FINISHED",
        "FINISHED",
        "FAILED",
        "FINISHED",
    ]
    sweep, trial = runs["sweep"], runs["00000"]
    assert sweep["parent"] is None
    assert trial["parent"] == sweep["run_id"]
    assert runs["00001"]["parent"] == trial["run_id"]
    assert len(trial["params"]) == 243
    assert trial["params"]["optimizer.lr"] == "0.0001"
    assert trial["params"]["optimizer.betas"] == "[0.5, 0.9]"
    assert runs["00002"]["params"]["text"].endswith("(cut; the files of the run have all of it)")
    assert trial["tags"]["sweeper.tricks"] == "ema, spectral_norm"
    assert trial["tags"]["sweeper.state"] == "completed"
    assert trial["tags"]["mlflow.note.content"] == "**Trial 0** after"
    assert runs["00001"]["tags"]["sweeper.state"] == "pruned"
    assert (trial["started"], trial["ended"]) == (WHEN, WHEN + 600)

    # The outbox is lost and everything is said again, as a driver does from its ledger.
    for file in tmp_path.glob("outbox.db*"):
        file.unlink()
    record(tmp_path, uri)
    runs = by_trial(uri, study)
    assert {name: run["run_id"] for name, run in runs.items()} == before
    trial_id = before["00000"]
    assert metric_history(uri, trial_id, "fid") == [
        (250, 0.4, WHEN + 250),
        (500, 0.2, WHEN + 500),
    ]
    assert len(metric_history(uri, trial_id, "precision")) == 2
    (data,) = datasets(uri, trial_id)
    assert (data["name"], data["digest"]) == ("digits", "c0" * 18)
    assert json.loads(data["profile"]) == {
        "hash": "c0" * 32,
        "intake": "1 of 1798 pictures skipped",
    }
    assert artifact_names(uri, trial_id) == ["config.json", "samples/000250.png"]
    grid = download(uri, trial_id, "samples/000250.png", tmp_path)
    assert grid.read_bytes() == b"\x89PNG first grid"
    assert artifact_names(uri, before["sweep"]) == ["tables/ablation.csv", "tables/ablation.json"]
    table = json.loads(download(uri, before["sweep"], "tables/ablation.json", tmp_path).read_text())
    assert table == {"columns": ["trick", "fid"], "data": [["ema", 1.5], ["none", None]]}
    assert "tables/ablation.json" in runs["sweep"]["tags"]["mlflow.loggedArtifacts"]


def test_an_interrupted_trial_goes_on_in_its_own_run_and_a_changed_value_stays_readable(
    tmp_path: Path, server: str
) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox, start_writer(outbox, server, tmp_path) as writer:
        outbox.sweep_started("resumed", study=str(tmp_path))
        outbox.trial_started(0, params={"lr": 0.1, "tricks.ema": True})
        outbox.evaluated(0, 1, {"fid": 3.0}, WHEN)
        assert not writer.drain(60)
        running = find_runs(server, "resumed")
    assert [run["status"] for run in running] == ["RUNNING", "RUNNING"]

    deadline = time.monotonic() + 30
    while any(run["status"] == "RUNNING" for run in find_runs(server, "resumed")):
        assert time.monotonic() < deadline, "the writer left runs RUNNING when its driver ended"
        time.sleep(0.2)

    with Outbox(path) as outbox, start_writer(outbox, server, tmp_path) as writer:
        outbox.sweep_started("resumed", study=str(tmp_path))
        outbox.trial_started(0, params={"lr": 0.2, "tricks.ema": True})
        outbox.evaluated(0, 1, {"fid": 3.0}, WHEN)
        outbox.evaluated(0, 2, {"fid": 2.0}, WHEN + 1)
        outbox.trial_ended(0, "completed")
        outbox.artifact(SWEEP, path, "sweep.yaml")
        outbox.sweep_ended("finished")
        assert not writer.drain(60)
    after = {run["run_id"]: run for run in find_runs(server, "resumed")}
    assert set(after) == {run["run_id"] for run in running}
    assert {run["status"] for run in after.values()} == {"FINISHED"}
    child = next(run for run in after.values() if run["parent"] is not None)
    assert child["params"] == {"lr": "0.1", "tricks.ema": "True"}
    changed = {key: text for key, text in child["tags"].items() if "changed" in key}
    assert changed == {"sweeper.changed.lr": "0.2"}
    assert metric_history(server, child["run_id"], "fid") == [(1, 3.0, WHEN), (2, 2.0, WHEN + 1)]


def test_a_run_that_the_user_deleted_stays_deleted_and_holds_nothing_up(
    tmp_path: Path, server: str
) -> None:
    from mlflow.tracking import MlflowClient

    with Outbox(tmp_path / "outbox.db") as outbox:
        with start_writer(outbox, server, tmp_path) as writer:
            outbox.sweep_started("binned", study=str(tmp_path))
            outbox.trial_started(0)
            assert not writer.drain(60)
            trial = next(r for r in find_runs(server, "binned") if r["parent"] is not None)
            MlflowClient(server).delete_run(trial["run_id"])
            outbox.evaluated(0, 1, {"fid": 3.0}, WHEN)
            outbox.trial_started(1)
            outbox.trial_ended(1, "completed")
            outbox.trial_ended(0, "completed")
            outbox.sweep_ended("finished")
            left = writer.drain(60)
        assert left.pending == 0
        assert "was deleted in MLflow" in left.advice("binned")
    runs = find_runs(server, "binned")
    assert [run["tags"]["sweeper.trial"] for run in runs] == ["sweep", "00001"]
    assert {run["status"] for run in runs} == {"FINISHED"}


def test_sync_finishes_what_a_driver_left_and_leaves_nothing_running(
    tmp_path: Path, server: str
) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        outbox.sweep_started("synced", study=str(tmp_path))
        outbox.trial_started(0)
        outbox.evaluated(0, 1, {"fid": 3.0}, WHEN)
    assert not sync(path, server, tmp_path)
    runs = find_runs(server, "synced")
    assert {run["tags"]["sweeper.state"] for run in runs} == {"interrupted"}
    assert {run["status"] for run in runs} == {"KILLED"}


def test_a_home_that_was_moved_is_recorded_where_it_lies_now(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = tmp_path / "old home", tmp_path / "new home"
    (old / "digits").mkdir(parents=True)
    shutil.copy(database, old / "mlflow.db")

    def record(home: Path, number: int) -> list[dict[str, Any]]:
        grid = home / "digits" / f"{number}.png"
        grid.write_bytes(b"png")
        uri, artifacts = f"sqlite:///{home}/mlflow.db", home / "mlartifacts"
        follow_home(uri, artifacts)
        with Outbox(home / "digits" / "outbox.db") as outbox:
            outbox.sweep_started("digits", study="id")
            outbox.trial_started(number)
            outbox.artifact(number, grid, "grid.png")
            outbox.trial_ended(number, "completed")
        assert not sync(home / "digits" / "outbox.db", uri, artifacts)
        return find_runs(uri, "digits")

    record(old, 0)
    old.rename(new)
    for run in record(new, 0) + record(new, 1):
        folder = Path(unquote(urlsplit(run["artifact_uri"]).path))
        assert folder.is_relative_to(new / "mlartifacts")
        assert run["tags"]["sweeper.trial"] == "sweep" or (folder / "grid.png").is_file()
    assert not old.exists()


def test_a_new_database_lets_readers_in_while_it_is_written_and_ends_as_one_file(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/new.db", tmp_path / "artifacts")
    store.experiment("probe")
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.fold()
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "new.db").read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM experiments")}
    assert "probe" in names


def test_a_kill_while_the_schema_is_made_leaves_no_database_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The writer is gone."""

    def die(*given: Any, **named: Any) -> NoReturn:
        raise Killed

    uri = f"sqlite:///{tmp_path}/new.db"
    with monkeypatch.context() as patched:
        patched.setattr(op, "batch_alter_table", die)
        with pytest.raises(Killed):
            Store(uri, tmp_path / "artifacts").experiment("probe")
    assert not list(tmp_path.iterdir())
    Store(uri, tmp_path / "artifacts").experiment("probe")


def test_whoever_has_had_enough_waits_no_longer_for_a_server_that_is_away(tmp_path: Path) -> None:
    looks: list[None] = []

    def enough() -> bool:
        looks.append(None)
        return len(looks) > 2

    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.sweep_started("away", study="away-1")
        with start_writer(outbox, "http://127.0.0.1:9", tmp_path, linger=0) as writer:
            left = writer.drain(60, enough)
    assert left.pending
    assert len(looks) == 3
