"""The API fuzzed from its own OpenAPI document: whatever it says of itself is true, and no request
makes it fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from sweeper.service.app import application
from sweeper.service.people import attempts
from sweeper.service.state.database import Database
from tests.service import studies
from tests.service.conftest import ADDRESS, Lab, lab_in
from tests.service.machines import Machine

ANSWERED = ["2xx", "304", "401", "403", "404", "409", "422"]
"""What a request may come to that fits its schema: names may be of nothing, and what makes a sweep
file a good one is more than a schema can say."""

ELSEWHERE = ("POST /api/v1/notices", "POST /api/v1/notices/{identifier}:test")
"""They ask the network for addresses; tests/service/test_notices.py has servers for them."""

SECONDS = ("POST /api/v1/sweeps:preview", "GET /api/v1/sweeps/{name}/report.html")
"""Each of their examples may start a process that computes for seconds."""


def _lab(place: Path, database: Database) -> Lab:
    """A service with a sweep of each state of trial, in a cluster."""
    database.upgrade()
    lab = lab_in(place, database)
    lab.service.machines = lambda: [Machine()]
    folder = lab.service.settings.home.sweep("small")
    ledger = studies.begin(folder, lab.submit("ada", "small", trials=50))
    studies.run(ledger, ["completed", "pruned", "failed", "running"])
    return lab


def _violations(lab: Lab, examples: int, without: tuple[str, ...]) -> Iterator[str]:
    """All that schemathesis finds, with the request that shows it."""
    token = lab.tokens["ada"]
    settings: dict[str, Any] = {
        "seed": 1,
        "base-url": ADDRESS,
        "auth": {"openapi": {"bearer": {"bearer": token}}},
        "request-timeout": 150,
        "generation": {"max-examples": examples},
        "checks": {"positive_data_acceptance": {"expected-statuses": ANSWERED}},
    }
    schema = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json",
        application(lab.service),
        config=SchemathesisConfig.from_dict(settings),
        headers={"authorization": f"Bearer {token}", "host": ADDRESS.partition("//")[2]},
    )
    tested = 0
    for event in from_schema(schema.exclude(name=list(without))).execute():
        if isinstance(event, events.FatalError | events.NonFatalError):
            yield str(event)
        if not isinstance(event, events.ScenarioFinished):
            continue
        tested += len(event.recorder.cases)
        for checks in event.recorder.checks.values():
            for check in checks:
                if (found := check.failure_info) is not None:
                    failure = found.failure
                    yield f"{event.label}: {failure.title}: {failure.message}: {found.code_sample}"
    assert tested > 1000, "hardly anything was asked"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ALLOWED", 10**9)  # it tries wrong tokens without end


def test_what_the_api_says_of_itself_is_true(tmp_path: Path) -> None:
    lab = _lab(tmp_path, Database(f"sqlite:///{tmp_path}/service.db"))
    found = sorted(set(_violations(lab, 1, ELSEWHERE + SECONDS)))
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_request_makes_the_api_fail(tmp_path: Path, database: Database) -> None:
    found = sorted(set(_violations(_lab(tmp_path, database), 40, ELSEWHERE)))
    assert not found, "\n".join(found)
