"""Optuna's dashboard on the studies of a home: below its own address, and to be looked at only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from sweeper.search import dashboard
from sweeper.search.ledger import Ledger
from sweeper.service.app import application
from sweeper.service.doors import OPENINGS, Doors
from sweeper.sweepfile import load_sweep
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation
from tests.service.conftest import ADDRESS, SMALL, Lab


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    """Somebody who may submit; the home has a study of two trials, `looked-at`."""
    make_study(lab, "looked-at")
    with TestClient(
        application(lab.service, [Doors("http://127.0.0.1:9").install], OPENINGS),
        base_url=ADDRESS,
        headers={"authorization": f"Bearer {lab.tokens['bo']}"},
        follow_redirects=False,
    ) as client:
        yield client


def make_study(lab: Lab, name: str) -> Sweep:
    sweep = load_sweep({**SMALL, "name": name})
    folder = lab.service.settings.home.sweep(name)
    folder.create()
    folder.spec_json.write_text(json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    for number in range(2):
        ledger.ask()
        ledger.started(number)
        ledger.report(number, Evaluation(4, 10.0, {"fid": 3.0 - number}))
        ledger.complete(number, [3.0 - number])
    return sweep


def test_the_dashboard_shows_a_sweep_s_study(client: TestClient) -> None:
    first = client.get("/optuna/looked-at/")
    assert (first.status_code, first.headers["location"]) == (
        303,
        "/optuna/looked-at/dashboard/studies/0",
    )
    page = client.get(first.headers["location"])
    (script,) = re.findall(r'<script defer src="([^"]*)"', page.text)
    assert script.startswith("/optuna/looked-at/static/bundle.js?v=")
    text = client.get(script).text
    assert "window.optunaRoot=location.pathname" in text
    (study,) = client.get("/optuna/looked-at/api/studies").json()["study_summaries"]
    trials = client.get(f"/optuna/looked-at/api/studies/{study['study_id']}").json()["trials"]
    assert [one["values"] for one in trials] == [[3.0], [2.0]]
    assert client.get("/optuna/looked-at/csv/0").text.startswith("Number,State,")


def test_no_address_of_the_dashboard_s_script_is_left_at_the_root() -> None:
    """What a later version asks for from elsewhere than below the sweep's address."""
    text = dashboard.script().plain.decode()
    assert re.findall(r"fetch\((`\$\{this|[\"'`]/)[^)]{0,60}", text) == []
    assert set(re.findall(r"`(/(?:api|csv|dashboard)/[^`]*)`", text)) == set()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_changes_nothing(client: TestClient, lab: Lab, method: str) -> None:
    journal = lab.service.settings.home.sweep("looked-at").study_journal
    before = journal.read_bytes()
    for path in ("api/studies", "api/studies/0", "api/trials/0/tell", "api/studies/0/note"):
        answer = client.request(method, f"/optuna/looked-at/{path}")
        assert answer.status_code == 405
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/optuna/never/", 404),
        ("/optuna/cache/", 422),
        ("/optuna/looked-at/sql-profiler", 404),
        ("/optuna/looked-at/incompatible-rdb-schema", 404),
        ("/optuna/looked-at/static/../../secret", 404),
        ("/optuna/looked-at/api/studies/99", 404),
        ("/optuna/%2e%2e/", 422),
    ],
)
def test_what_is_not_there_is_said_to_be_so(
    client: TestClient, path: str, status: int, lab: Lab
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert str(lab.service.settings.home.path) not in answer.text


def test_a_sweep_that_is_deleted_and_made_anew_shows_its_own_study(
    client: TestClient, lab: Lab
) -> None:
    assert len(client.get("/optuna/looked-at/api/studies/0").json()["trials"]) == 2
    folder = lab.service.settings.home.sweep("looked-at")
    for file in folder.path.rglob("*"):
        if file.is_file():
            file.unlink()
    sweep = make_study(lab, "looked-at")
    assert sweep.name == "looked-at"
    assert client.get("/optuna/looked-at/api/studies/0").status_code == 200


def test_no_more_studies_are_kept_than_are_looked_at(lab: Lab) -> None:
    names = [f"one-{number}" for number in range(dashboard.KEPT + 2)]
    for name in names:
        make_study(lab, name)
    kept = dashboard.Dashboards(lab.service.settings.home)
    first = kept.of(names[0])
    for name in names[1:]:
        kept.of(name)
    assert kept.of(names[-1]) is kept.of(names[-1])
    assert kept.of(names[0]) is not first
