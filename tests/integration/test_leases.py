"""Leases on a real Ray: who has to make room does, and goes on when there is some."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeper.home import Home
from sweeper.scheduling.cluster import head as heads
from sweeper.service.cluster import Cluster
from sweeper.service.dispatching.dispatcher import Dispatcher
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, events, sweeps
from sweeper.service.state.database import Database
from sweeper.service.state.sweeps import Entry
from sweeper.sweepfile import load_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
]

BASE = {
    "data": "digits",
    "batch_size": 8,
    "networks": {"generator": {"width": 4}, "discriminator": {"width": 4}},
    "evaluation": {"every": 40, "samples": 32, "metrics": ["fid"], "final_samples": 64},
}


class Lab:
    """A service without its pages, on a Ray head with two cores."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.database = Database(f"sqlite:///{home}/service.db")
        self.database.upgrade()
        settings = ServiceSettings(self.home, self.database.url)
        self.cluster = Cluster(settings, f"sqlite:///{home}/mlflow.db")
        self.dispatcher = Dispatcher(self.database, self.cluster, lambda sweep_id: True)

    def submit(self, owner: str, name: str, cpu: int, trials: int, steps: int) -> None:
        sweep = load_sweep(
            {
                "name": name,
                "base": {**BASE, "steps": steps},
                "parameters": {"optimizer.generator.lr": {"min": 1.0e-4, "max": 1.0e-3}},
                "search": {"sampler": "random"},
                "limits": {"trials": trials, "parallel": 4},
                "resources": {"cpu": cpu},
            }
        )
        with self.database.writing() as session:
            person = accounts.person_named(session, owner) or accounts.add_person(session, owner)
            spec = sweep.to_dict()
            sweeps.add_sweep(session, person, name=name, source="{}", spec=spec)

    def entry(self, name: str) -> Entry:
        with self.database.reading() as session:
            return sweeps.entry_named(session, name)

    def started(self, name: str) -> list[float]:
        """When trials of a sweep were begun, or went on."""
        with self.database.reading() as session:
            happened = events.events_after(session, 0, self.entry(name).sweep.id)
        return [event.time for event in happened if event.kind == "trial_started"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    kept = dict(os.environ)
    heads.up(tmp_path, cpus=2).join()
    lab = Lab(tmp_path)
    thread = threading.Thread(target=lab.dispatcher.run)
    thread.start()
    try:
        yield lab
    finally:
        lab.dispatcher.stop()
        thread.join()
        heads.down(tmp_path)
        lab.database.close()
        os.environ.clear()
        os.environ.update(kept)


def _wait(condition: Callable[[], object], seconds: float = 280.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.timeout(600)
def test_a_wide_sweep_has_its_turn_where_narrow_trials_fill_the_machine(lab: Lab) -> None:
    lab.submit("ada", "narrow", cpu=1, trials=12, steps=400)
    _wait(lambda: (driver := lab.entry("narrow").driver) is not None and driver.machines)
    _wait(lambda: list(lab.entry("narrow").driver.machines.values()) == [2])
    lab.submit("ben", "wide", cpu=2, trials=2, steps=80)
    _wait(lambda: lab.started("wide"))
    narrow = lab.entry("narrow")
    assert narrow.lease.state in ("running", "queued")
    assert narrow.driver.over < 12
    for name, trials in (("wide", 2), ("narrow", 12)):
        _wait(lambda name=name: lab.entry(name).over)
        entry = lab.entry(name)
        assert entry.lease.state == "finished"
        assert entry.driver.over == trials
