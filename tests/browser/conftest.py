"""A served service, and a Chromium that looks at it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from sweeper.home import Home
from sweeper.service.app import Service, application
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, sweeps
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from sweeper.service.state.events import add_event
from sweeper.service.state.tables import Driver, Lease, Sweep, SweepState
from sweeper.sweepfile import load_sweep
from sweeper.sweepfile.load import sweep_from_dict
from tests.browser.stand_in import StandIn

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")
"""What is wrong with a page for people who see badly, hear it, or hold a phone."""


@dataclass
class Served:
    """A service at an address, with `ada` (admin) and `bo` (submit)."""

    service: Service
    address: str
    tokens: dict[str, str] = field(default_factory=dict)

    def submit(self, owner: str, given: dict[str, Any]) -> Sweep:
        """A sweep in the queue."""
        sweep = load_sweep(given)
        with self.service.database.writing() as session:
            person = accounts.person_named(session, owner)
            assert person is not None
            return sweeps.add_sweep(
                session,
                person,
                name=sweep.name,
                source=str(given),
                spec=sweep.to_dict(),
                description=sweep.description,
            )

    def entry(self, name: str) -> sweeps.Entry:
        """What the database says of a sweep."""
        with self.service.database.reading() as session:
            return sweeps.entry_named(session, name)

    def drive(self, name: str, *, samples: bool = True) -> StandIn:
        """Begin to drive a sweep, as a dispatcher and a driver would."""
        entry = self.entry(name)
        driver = StandIn(
            sweep_from_dict(entry.sweep.spec),
            self.service.settings.home.sweep(name),
            samples=samples,
        )
        self.say(name, "running")
        return driver

    def say(self, name: str, state: SweepState, *, at_work: int = 0, over: int = 0) -> None:
        """Write what a dispatcher and a driver say of themselves."""
        sweep_id = self.entry(name).sweep.id
        with self.service.database.writing() as session:
            lease = session.get_one(Lease, sweep_id)
            lease.state, lease.parallel = state, 2
            row = session.get(Driver, sweep_id)
            if row is None:
                row = Driver(sweep_id=sweep_id, attempt=1, job="", begun=time.time())
                session.add(row)
            row.heartbeat, row.at_work, row.over = time.time(), at_work, over
            add_event(session, sweep_id, "trial", {"over": over})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service on a port of its own, for all tests of a file."""
    tmp_path = tmp_path_factory.mktemp("service")
    home = Home(tmp_path / "sweeps")
    home.path.mkdir()
    database = Database(f"sqlite:///{tmp_path}/service.db")
    database.upgrade()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        settings = ServiceSettings(home, database.url, port=listening.getsockname()[1])
        served = Served(Service(settings, database), settings.address)
        with database.writing() as session:
            for name, scope in (("ada", Scope.ADMIN), ("bo", Scope.SUBMIT)):
                person = accounts.add_person(session, name)
                served.tokens[name] = accounts.add_token(session, person, "test", scope)[1]
        config = uvicorn.Config(application(served.service), log_level="error", ws="none")
        server = uvicorn.Server(config)
        listening.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield served
        served.service.ending.set()
        server.should_exit = True
        thread.join()
    database.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    if not BROWSER:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()
