"""A service for each test: its database, its people, and a client for each of their tokens."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from sweeper.home import Home
from sweeper.service.app import Service, application
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, sweeps
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Person, Sweep
from sweeper.sweepfile import load_sweep
from tests.service.served import free_port, served

ADDRESS = "http://127.0.0.1:8470"


@pytest.fixture(autouse=True)
def _read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, no reading of a study is spared."""
    monkeypatch.setattr("sweeper.service.readings.QUICK", 600.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An upgraded database, of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/service.db"
    else:
        url = request.getfixturevalue("empty_database")
    database = Database(url)
    database.upgrade()
    yield database
    database.close()


@dataclass
class Lab:
    """A service with people: `ada` (admin), `bo` and `cy` (submit), `dee` (read)."""

    service: Service
    tokens: dict[str, str]

    @property
    def database(self) -> Database:
        return self.service.database

    def client(self, person: str | None = None) -> TestClient:
        """A client that sends this person's token, or none. What a server fails at is an answer."""
        headers = {"authorization": f"Bearer {self.tokens[person]}"} if person else {}
        return TestClient(
            application(self.service),
            base_url=ADDRESS,
            headers=headers,
            follow_redirects=False,
            raise_server_exceptions=False,
        )

    def person(self, name: str) -> Person:
        with self.database.reading() as session:
            found = accounts.person_named(session, name)
        assert found is not None
        return found

    def submit(self, owner: str, name: str, trials: int = 2) -> Sweep:
        """A sweep in the queue, of which nothing has run."""
        given = {**SMALL, "name": name, "limits": {"trials": trials}}
        sweep = load_sweep(given)
        with self.database.writing() as session:
            return sweeps.add_sweep(
                session,
                self.person(owner),
                name=name,
                source=json.dumps(given),
                spec=sweep.to_dict(),
            )


SMALL = {
    "name": "small",
    "base": {"data": {"name": "digits"}, "steps": 4},
    "parameters": {"optimizer.generator.lr": {"values": [1.0e-4, 2.0e-4]}},
    "search": {"sampler": "random"},
    "limits": {"trials": 2},
}
"""A sweep file that is valid, and small."""


def lab_in(place: Path, database: Database) -> Lab:
    """A service with its home below `place`."""
    home = Home(place / "sweeps")
    home.path.mkdir(exist_ok=True)
    service = Service(ServiceSettings(home, database.url, roots=(place / "data",)), database)
    scopes = {"ada": Scope.ADMIN, "bo": Scope.SUBMIT, "cy": Scope.SUBMIT, "dee": Scope.READ}
    tokens = {}
    with database.writing() as session:
        for name, scope in scopes.items():
            person = accounts.add_person(session, name)
            tokens[name] = accounts.add_token(session, person, "test", scope)[1]
    return Lab(service, tokens)


@pytest.fixture
def make_lab(tmp_path: Path) -> Callable[[Database], Lab]:
    return lambda database: lab_in(tmp_path, database)


@pytest.fixture
def lab(tmp_path: Path, make_lab: Callable[[Database], Lab]) -> Iterator[Lab]:
    """A service on SQLite: for what does not depend on the database."""
    database = Database(f"sqlite:///{tmp_path}/service.db")
    database.upgrade()
    yield make_lab(database)
    database.close()


@pytest.fixture
def either_lab(database: Database, make_lab: Callable[[Database], Lab]) -> Lab:
    """A service on each kind of database."""
    return make_lab(database)


@pytest.fixture
def address(lab: Lab) -> Iterator[str]:
    """Where `lab` is served by uvicorn, for the length of the test."""
    with listening(lab) as there:
        yield there


@contextlib.contextmanager
def listening(lab: Lab, around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> Iterator[str]:
    """Serve a lab on a port that is free, which its settings name from then on; `around` may stand
    between it and whoever asks."""
    lab.service.settings = replace(lab.service.settings, port=free_port())
    with served(around(application(lab.service)), lab.service.settings.port):
        yield lab.service.settings.address
