"""What `sweeper serve --down` does: end what a service leaves running when it ends itself.

every driver      asked to end; its trials keep their checkpoints, and go on at the next start
Ray               ended where the service has started it; a cluster that is named is let alone
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from sweeper.permissions import private
from sweeper.service.cluster import Cluster
from sweeper.service.serve import only_one
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import dispatch
from sweeper.service.state.database import Database
from sweeper.service.state.dispatch import Pending

PATIENCE = 120.0
"""Seconds for drivers to end: each waits for what is on its way to MLflow."""

_LOOK_EVERY = 0.5


def down(settings: ServiceSettings, say: Callable[[str], None] = print) -> int:
    """End all of it. Returns the exit status: 1 where a driver has not ended in time.

    Raises:
        SweeperError: a service is at work here, or Ray or the database does not answer.
    """
    home = settings.home
    if not home.path.is_dir():
        say(f"nothing runs: there is no {home.path}")
        return 0
    with private(home.path), only_one(home):
        database = Database(settings.database)
        try:
            database.upgrade()
            cluster = Cluster(settings, os.environ.get("MLFLOW_TRACKING_URI", ""))
            if not cluster.find():
                say("nothing runs: no Ray was started here")
                return 0
            left = _end_drivers(database, cluster, say)
            cluster.down()
        finally:
            database.close()
    if left:
        say(f"not ended in {PATIENCE:g} s: {', '.join(sorted(left))}")
    say("All is down. `sweeper serve` goes on with the sweeps that ran.")
    return 1 if left else 0


def _end_drivers(database: Database, cluster: Cluster, say: Callable[[str], None]) -> list[str]:
    """Have each driver end; names of the sweeps whose drivers have not."""
    driven = _driven(database)
    if driven:
        say(f"ending {', '.join(sorted(sweep.name for sweep in driven))}; they go on later")
    for sweep in driven:
        assert sweep.driver is not None
        cluster.end(sweep.driver.job)
    deadline = time.monotonic() + PATIENCE
    while driven and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        driven = _driven(database)
    return [sweep.name for sweep in driven]


def _driven(database: Database) -> list[Pending]:
    with database.reading() as session:
        return [
            sweep
            for sweep in dispatch.pending(session)
            if sweep.driven and sweep.driver is not None and sweep.driver.ended is None
        ]
