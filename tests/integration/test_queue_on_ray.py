"""Many sweeps in the queue of a Ray of two machines: who gets how much of it, read from what ran.

Dispatcher, leases, jobs, drivers and workers are the real ones; a trial only holds its CPU. Fewer
sweeps than two hundred with SWEEPS_IN_QUEUE=40.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import ray
from sqlalchemy import select

from sweeper.home import Home
from sweeper.service import cluster as clusters
from sweeper.service.cluster import Cluster
from sweeper.service.dispatching.dispatcher import Dispatcher
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, sweeps
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Driver, Sweep
from sweeper.sweepfile import load_sweep
from tests.integration.holding import HELD
from tests.integration.raylets import ENVIRONMENT, raylets
from tests.service.served import free_port

WEIGHTS = {"ada": 1.0, "bo": 2.0, "cy": 3.0, "dee": 4.0}
SWEEPS = int(os.environ.get("SWEEPS_IN_QUEUE", "200"))
"""Each starts a driver and three more processes: some ten seconds of a core."""
CORES = 5
"""Of each machine. They are numbers of Ray's alone, for a trial sleeps."""

PATIENCE = 3000.0

Held = Mapping[str, list[tuple[float, float]]]
"""By sweep: from when to when a trial of it held a CPU, each time that one did."""

OFF = 2
"""So many sweeps of those that ran a share may be off."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home for the drivers of a cluster that this process knows."""
    kept, port = dict(os.environ), free_port()
    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[2])}
    with raylets(CORES, jobs=port, environment=environment) as (address, join):
        join(cores=CORES)
        os.environ.update(environment)
        os.environ["RAY_ADDRESS"] = address
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{port}"
        ray._raylet.Config.initialize("")  # Ray has read its environment long ago
        try:
            yield Home(tmp_path)
        finally:
            os.environ.clear()
            os.environ.update(kept)


@pytest.mark.slow
@pytest.mark.timeout(int(PATIENCE) + 300)
def test_of_many_sweeps_each_runs_once_and_people_have_shares_as_their_weights(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "DRIVER", "tests.integration.holding")
    settings = ServiceSettings(home, f"sqlite:///{home.path}/service.db")
    database = Database(settings.database)
    database.upgrade()
    owners = submit(database)
    dispatcher = Dispatcher(database, Cluster(settings, ""), lambda sweep_id: True)
    thread, began = threading.Thread(target=dispatcher.run), time.time()
    thread.start()
    try:
        wait_for_all(database)
        turns = begun(database)
    finally:
        dispatcher.stop()
        thread.join()
        database.close()
    held = {name: spans(home, name) for name in owners}
    print(f"{len(owners)} sweeps in {time.time() - began:.0f} s")
    assert [name for name, times in held.items() if len(times) != 1] == []
    shares, ran = shares_while_all_wait(turns, held, owners)
    print(f"shares of {ran}", {who: f"{share:.3f}" for who, share in shares.items()})
    for who, weight in WEIGHTS.items():
        assert shares[who] == pytest.approx(weight / sum(WEIGHTS.values()), abs=OFF / ran)


def submit(database: Database) -> dict[str, str]:
    """Put the sweeps into the queue, one person's as many as another's. Their names → owners."""
    owners = {}
    with database.writing() as session:
        people = [
            accounts.add_person(session, name, weight=weight) for name, weight in WEIGHTS.items()
        ]
        for number, person in zip(range(SWEEPS), itertools.cycle(people), strict=False):
            given = {
                "name": f"sweep-{number}",
                "base": {"data": "digits", "steps": 1},
                "parameters": {"optimizer.generator.lr": {"min": 1.0e-4, "max": 1.0e-3}},
                "search": {"sampler": "random"},
                "limits": {"trials": 1},
            }
            sweep = load_sweep(given)
            source, spec = json.dumps(given), sweep.to_dict()
            sweeps.add_sweep(session, person, name=sweep.name, source=source, spec=spec)
            owners[sweep.name] = person.name
    return owners


def wait_for_all(database: Database) -> None:
    """Until every sweep has ended, and well."""
    deadline, told = time.monotonic() + PATIENCE, Counter[str]()
    while True:
        with database.reading() as session:
            states = Counter(entry.lease.state for entry in sweeps.unended(session))
        if not states:
            return
        if states != told:
            print(time.strftime("%X"), dict(states), flush=True)
            told = states
        assert time.monotonic() < deadline
        time.sleep(2.0)


def spans(home: Home, name: str) -> list[tuple[float, float]]:
    """From when to when a trial of this sweep held a CPU, each time that one did."""
    found = []
    for file in sorted(home.sweep(name).trials.glob(f"*/{HELD}")):
        for line in file.read_text().splitlines():
            began, ended = map(float, line.split())
            found.append((began, ended))
    return found


def begun(database: Database) -> dict[str, float]:
    """When each sweep had its turn: a driver was begun for it."""
    with database.reading() as session:
        return {
            sweep.name: session.get_one(Driver, sweep.id).begun
            for sweep in session.scalars(select(Sweep))
        }


def shares_while_all_wait(
    turns: Mapping[str, float], held: Held, owners: Mapping[str, str]
) -> tuple[dict[str, float], int]:
    """Everybody's share of all that was held by the sweeps that had their turn while each person
    still had one that waited, and how many those are."""
    until = min(max(turns[name] for name in owners if owners[name] == who) for who in WEIGHTS)
    ran = [name for name in owners if turns[name] <= until]
    seconds = Counter[str]()
    for name in ran:
        seconds[owners[name]] += sum(ended - began for began, ended in held[name])  # type: ignore[assignment]
    return {who: seconds[who] / seconds.total() for who in WEIGHTS}, len(ran)
