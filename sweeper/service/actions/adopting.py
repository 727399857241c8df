"""Sweeps that were run in the home from a terminal: the service shows them too, and can go on with
them."""

from __future__ import annotations

import time

from sweeper.errors import SweeperError
from sweeper.home import SweepFolder
from sweeper.search.looking import sweep_of
from sweeper.search.unscored import in_words, unscored
from sweeper.service.app import Service
from sweeper.service.driving.summary import best_of
from sweeper.service.state import accounts, audit, sweeps
from sweeper.service.state.tables import Driver, Lease, Person
from sweeper.standings.progress import OVER, progress_of


def adopt_home(service: Service) -> list[str]:
    """Take in the sweeps of the home that the service does not know and nobody runs now; names.

    They become the first admin's, in the state in which they were left: one that was interrupted
    is `stopped`, also before its final score, and goes on when it is resumed. One that cannot be
    read stays outside.
    """
    with service.database.reading() as session:
        owner = accounts.first_admin(session)
        known = sweeps.names(session)
    if owner is None:
        return []
    home = service.settings.home
    folders = [home.sweep(name) for name in home.names() if name not in known]
    return [folder.name for folder in folders if _adopt(service, folder, owner)]


def _adopt(service: Service, folder: SweepFolder, owner: Person) -> bool:
    if folder.driver() is not None:
        return False
    try:
        sweep, standings = sweep_of(folder), service.readings.of(folder.name).standings
        source = folder.sweep_yaml.read_text("utf-8", "replace")
    except (SweeperError, OSError):
        return False
    progress, waiting = progress_of(standings), unscored(folder, standings)
    now = time.time()
    with service.database.writing() as session:
        added = sweeps.add_sweep(
            session, owner, name=folder.name, source=source, spec=sweep.to_dict()
        )
        lease = session.get_one(Lease, added.id)
        lease.state = progress.state if progress.state in OVER and not waiting else "stopped"
        lease.message = in_words(waiting) if progress.state in OVER else ""
        lease.ended, lease.settled, lease.asked = now, 1, added.asked
        driver = Driver(sweep_id=added.id, attempt=1, job="", begun=now, phase="finishing")
        driver.outcome, driver.asked, driver.ended = lease.state, added.asked, now
        driver.over, driver.budget, driver.best = progress.over, progress.budget, best_of(standings)
        session.add(driver)
        audit.note(session, None, "adopt", folder.name)
    return True
