"""A submission is made once and its answer is not lost, whatever is killed; a deletion ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from sweeper import removal
from sweeper.home import Home
from sweeper.search.identity import Identity
from sweeper.search.reader import read_study
from sweeper.service.actions import deleting, submitting
from sweeper.service.actions.submitting import Submission
from sweeper.service.app import Service
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, events
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Sweep
from sweeper.sweepfile.document import write_document
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.tracking.runs import find_runs
from sweeper.tracking.store import Store
from tests.service import studies
from tests.service.conftest import SMALL, Lab

KEY = {"idempotency-key": "once"}


def _submit_and_die(home: Path, url: str, words: str, moment: str) -> None:
    """Submit in a process of its own, which dies before or right after it has committed."""
    database = Database(url)
    service = Service(ServiceSettings(Home(home), url), database)
    with database.reading() as session:
        caller = accounts.caller_with_token(session, words)
    assert caller is not None

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "before":
        event.listen(database._engine, "commit", die)
    submitting.submit(service, caller, Submission(write_document(SMALL)), "once")
    die()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_between_write_and_answer_makes_no_second_sweep(
    either_lab: Lab, moment: str
) -> None:
    lab = either_lab
    there = (lab.service.settings.home.path, lab.database.url, lab.tokens["bo"], moment)
    process = multiprocessing.get_context("spawn").Process(target=_submit_and_die, args=there)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with lab.database.reading() as session:
        assert session.query(Sweep).count() == (0 if moment == "before" else 1)
    headers = {**KEY, "content-type": "application/yaml"}
    answer = lab.client("bo").post("/api/v1/sweeps", content=write_document(SMALL), headers=headers)
    assert answer.status_code == 201
    assert ("idempotency-replayed" in answer.headers) == (moment == "after")
    with lab.database.reading() as session:
        (sweep,) = session.query(Sweep)
        assert answer.json()["id"] == sweep.id
        assert [one.kind for one in events.events_after(session, 0)] == ["submitted"]


def test_of_many_requests_at_once_one_makes_the_sweep(either_lab: Lab) -> None:
    clients = {person: either_lab.client(person) for person in ("bo", "cy")}
    for client in clients.values():
        # FastAPI builds a route when it is first asked for; a server does so in one thread.
        assert client.post("/api/v1/sweeps").status_code == 415
    answers: list[tuple[int, str]] = []

    def send(person: str, key: str) -> None:
        answer = clients[person].post(
            "/api/v1/sweeps", json=SMALL, headers={"idempotency-key": key}
        )
        answers.append((answer.status_code, answer.json().get("id", "")))

    sent = [("bo", "once")] * 4 + [("bo", "other"), ("cy", "once")]
    threads = [threading.Thread(target=send, args=one) for one in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {identifier for status, identifier in answers if status == 201}
    assert len(made) == 1
    assert {status for status, _ in answers} == {201, 409}
    with either_lab.database.reading() as session:
        assert session.query(Sweep).count() == 1


def test_a_deleted_sweep_is_erased_with_all_that_it_left(lab: Lab) -> None:
    row, home = lab.submit("bo", "small"), lab.service.settings.home
    folder = home.sweep("small")
    studies.run(studies.begin(folder, row), ["completed"])
    assert not deleting.erase(lab.service, row.id) or folder.exists()  # nobody has asked for it
    assert lab.client("bo").delete("/api/v1/sweeps/small").status_code == 202
    assert folder.exists()
    assert deleting.erase(lab.service, row.id)
    assert not folder.path.exists()
    assert [path.name for path in home.path.iterdir() if path.name.startswith(".")] == []
    assert deleting.erase(lab.service, row.id)  # again: nothing to do
    assert lab.client("bo").post("/api/v1/sweeps", json=SMALL).status_code == 201


def test_an_erasure_that_was_cut_short_is_finished(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = lab.submit("bo", "small")
    folder = lab.service.settings.home.sweep("small")
    studies.run(studies.begin(folder, row), ["completed"])
    lab.client("bo").delete("/api/v1/sweeps/small")

    def cut(path: Path) -> None:
        (path / "spec.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal.shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            deleting.erase(lab.service, row.id)
    assert not folder.path.exists()
    assert deleting.erase(lab.service, row.id)
    with lab.database.reading() as session:
        assert session.query(Sweep).count() == 0


@pytest.mark.slow
def test_erasing_takes_the_runs_out_of_mlflow_and_the_study_out_of_its_database(
    lab: Lab, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", empty_database)
    row, home = lab.submit("bo", "small"), lab.service.settings.home
    folder = home.sweep("small")
    studies.run(studies.begin(folder, row), ["completed"])
    identity = Identity.of(folder)
    assert identity is not None
    uri = f"sqlite:///{home.path}/mlflow.db"
    store = Store(uri, home.mlartifacts)
    experiment = store.experiment("small")
    study = str(identity.study)
    for tag, number in ((study, "sweep"), (study, "00000"), ("another", "00000")):
        store.create(experiment, number, {"sweeper.study": tag, "sweeper.trial": number}, 1)
    assert len(find_runs(uri, "small")) == 3
    lab.client("bo").delete("/api/v1/sweeps/small")
    assert deleting.erase(lab.service, row.id)
    assert [run["tags"]["sweeper.study"] for run in find_runs(uri, "small")] == ["another"]
    folder.create()
    assert read_study(sweep_from_dict(row.spec), folder) is None
