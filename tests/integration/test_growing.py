"""A cluster without machines grows for a sweep in the service's queue, and shrinks after it.

Service, dispatcher, driver, workers and Ray's autoscaler are the real ones; the cloud is this
machine (`ray.autoscaler._private.fake_multi_node`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from sweeper.home import Home
from sweeper.results import records_of
from sweeper.scheduling.cluster.inventory import ClusterMachines
from sweeper.search.looking import sweep_of
from sweeper.service.cluster import Cluster
from sweeper.service.dispatching.dispatcher import Dispatcher
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, sweeps
from sweeper.service.state.database import Database
from sweeper.service.state.tables import ENDS, Lease
from sweeper.sweepfile import load_sweep
from tests.integration.raylets import ENVIRONMENT, raylets
from tests.integration.test_leases import BASE
from tests.service.served import free_port

SWEEP = {
    "name": "growing",
    "base": {**BASE, "steps": 120},
    "parameters": {"optimizer.generator.lr": {"min": 1.0e-4, "max": 1.0e-3}},
    "search": {"sampler": "random"},
    "limits": {"trials": 4, "parallel": 2},
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """That of a service whose cluster, a head without cores, may grow by two machines of one."""
    kept, port = dict(os.environ), free_port()
    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[2])}
    with raylets(jobs=port, environment=environment, grows=2) as (address, _):
        os.environ.update(environment)
        os.environ["RAY_ADDRESS"] = address
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{port}"
        os.environ["SWEEPER_MACHINES"] = "2 x cpu=1"
        os.environ["SWEEPER_EVICTION"] = f"file:{tmp_path / 'never'}"
        ray._raylet.Config.initialize("")  # Ray has read its environment long ago
        try:
            yield Home(tmp_path)
        finally:
            os.environ.clear()
            os.environ.update(kept)


def machines() -> int:
    """How many there are that have a core."""
    found = ClusterMachines(os.environ["RAY_ADDRESS"], "").look()
    return sum(one.alive and one.total.get("CPU", 0) > 0 for one in found)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_machines_come_for_a_sweep_in_the_queue_and_go_after_it(home: Home) -> None:
    settings = ServiceSettings(home, f"sqlite:///{home.path}/service.db")
    database = Database(settings.database)
    database.upgrade()
    sweep = load_sweep(SWEEP)
    with database.writing() as session:
        ada = accounts.add_person(session, "ada")
        source, spec = json.dumps(SWEEP), sweep.to_dict()
        sweeps.add_sweep(session, ada, name=sweep.name, source=source, spec=spec)

    def lease() -> Lease:
        with database.reading() as session:
            return sweeps.entry_named(session, sweep.name).lease

    assert machines() == 0
    cluster = Cluster(settings, f"sqlite:///{home.path}/mlflow.db")
    dispatcher = Dispatcher(database, cluster, lambda sweep_id: True)
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        told, most = set(), 0
        while (now := lease()).state not in ENDS:
            told.add(now.reason)
            most = max(most, machines())
            time.sleep(0.5)
    finally:
        dispatcher.stop()
        thread.join()
        database.close()
    assert now.state == "finished", now.message
    assert "2 trials wait for machines to come, which Ray's autoscaler adds." in told
    assert most == 2
    folder = home.sweep(sweep.name)
    trials = records_of(folder, sweep_of(folder))
    assert [(trial.state, trial.attempts) for trial in trials] == [("completed", 1)] * 4
    deadline = time.monotonic() + 120
    while machines():
        assert time.monotonic() < deadline, "what is not needed any more stays"
        time.sleep(0.5)
