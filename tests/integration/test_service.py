"""The service for real, as a lab has it: submitted over HTTP, driven on Ray, recorded in MLflow."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sweeper.scheduling.cluster import head
from sweeper.service.state import events
from sweeper.service.state.database import Database
from tests.integration.test_end_to_end import sweeper
from tests.service.process import ALL_OF_IT, TOKEN, Process
from tests.service.served import free_port

SWEEP = """
name: tiny
base:
  data: digits
  steps: 24
  batch_size: 8
  networks: {generator: {width: 4}, discriminator: {width: 4}}
  evaluation: {every: 4, samples: 32, metrics: [fid], final_samples: 64}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-4, max: 1.0e-2}
search: {sampler: random}
limits: {trials: 6, parallel: 1}
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path / "sweeps", free_port(), environment=dict(ALL_OF_IT))
    made.start()
    yield made
    if made.process.poll() is None:
        made.end()
    head.down(made.home)


@pytest.mark.timeout(600)
def test_a_sweep_runs_from_its_submission_to_its_table(process: Process) -> None:
    (token,) = TOKEN.findall(process.until("The service is at", 200))
    with httpx.Client(base_url=process.address, timeout=60) as client:
        client.headers["authorization"] = f"Bearer {token}"
        submitted = client.post("/api/v1/sweeps", content=SWEEP, headers=YAML)
        assert submitted.status_code == 201, submitted.text

        # In the middle of it the service goes away, and its sweep goes on without.
        _wait(lambda: _sweep(client)["driver"] and _sweep(client)["driver"]["over"])
        attempt = _sweep(client)["driver"]["attempt"]
        assert process.end() == 0
        process.said = ""
        process.start()
        process.until("The service is at", 200)
        _wait(lambda: _sweep(client)["state"] == "finished")
        assert _sweep(client)["driver"]["attempt"] == attempt

        trials = client.get("/api/v1/sweeps/tiny/trials").json()["items"]
        assert [(one["number"], one["state"]) for one in trials] == [
            (number, "completed") for number in range(6)
        ]
        table = client.get("/api/v1/sweeps/tiny/table", params={"format": "csv"})
        assert table.status_code == 200
        assert len(table.text.splitlines()) > 1

    _see_pages(process, token)
    _see_events(process.home)
    assert process.end() == 0
    servers = _named_in(process.home)
    assert servers, "Ray outlives the service"
    ended = sweeper("serve", "--down", "--home", str(process.home), home=process.home)
    assert ended.returncode == 0, ended.stderr
    assert not any(server.is_running() for server in servers)


def _see_pages(process: Process, token: str) -> None:
    """With a browser's cookie: the trial's page, and through the same login what MLflow has of it;
    MLflow's run leads back."""
    with httpx.Client(base_url=process.address, timeout=60) as browser:
        assert browser.post("/login", data={"token": token}).status_code == 303
        page = browser.get("/sweeps/tiny/trials/0")
        assert page.status_code == 200
        (run,) = set(re.findall(r'href="/mlflow/#/experiments/\d+/runs/(\w{32})"', page.text))
        assert browser.get("/mlflow/").status_code == 200
        found = browser.get("/mlflow/ajax-api/2.0/mlflow/runs/get", params={"run_id": run})
        info = found.json()["run"]
        tags = {tag["key"]: tag["value"] for tag in info["data"]["tags"]}
        assert tags["sweeper.page"] == f"{process.address}/sweeps/tiny/trials/0"
        assert info["info"]["status"] == "FINISHED"
        config = browser.get("/mlflow/get-artifact", params={"run_id": run, "path": "config.json"})
        assert json.loads(config.text)["steps"] == 24
        assert browser.get("/optuna/tiny/api/studies").status_code == 200


def _see_events(home: Path) -> None:
    """Numbered without a gap, each trial once, across the service's end."""
    database = Database(f"sqlite:///{home}/service.db")
    with database.reading() as session:
        found = events.events_after(session, 0)
    database.close()
    assert [event.id for event in found] == list(range(1, len(found) + 1))
    ended = [event.data["number"] for event in found if event.kind == "trial_ended"]
    assert sorted(ended) == list(range(6))


YAML = {"content-type": "application/yaml"}


def _sweep(client: httpx.Client) -> Any:
    return client.get("/api/v1/sweeps/tiny").json()


def _wait(condition: Callable[[], Any], seconds: float = 200.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _named_in(home: Path) -> list[psutil.Process]:
    found = head.find(home)
    return [] if found is None else found.processes
