"""A sweep goes away: out of every list at once, with all that it has left once nobody is at it.

    delete    marks it, and has its driver end         (whoever owns it, by page or API)
    erase     what it has left (`sweeper.removal`) → the rows        (the dispatcher, later)

Each step of `erase` may be done again, so that a kill in its middle costs nothing but time. What it
has used is kept, since shares and quotas rest on it, and so is what happened.
"""

from __future__ import annotations

import time

from sweeper.removal import remove_sweep
from sweeper.service.app import Service
from sweeper.service.people.permission import check_change
from sweeper.service.state import audit, sweeps
from sweeper.service.state.accounts import Caller
from sweeper.service.state.events import add_event
from sweeper.service.state.tables import Sweep
from sweeper.sweepfile.load import sweep_from_dict


def delete(service: Service, caller: Caller, name: str) -> None:
    """Have a sweep and all that it has left deleted; one that runs is cancelled first.

    Raises:
        UnknownSweep: there is none.
        Refusal: it is somebody else's.
    """
    with service.database.writing() as session:
        entry = sweeps.changing(session, name)
        check_change(caller, entry)
        now = time.time()
        entry.sweep.deleted, entry.sweep.wanted, entry.sweep.asked = now, "cancel", now
        add_event(session, entry.sweep.id, "deleted", {"by": caller.person.name})
        audit.note(session, caller, "delete", entry.sweep.name, detail={"id": entry.sweep.id})


def erase(service: Service, sweep_id: str) -> bool:
    """Remove a sweep that is marked as deleted, and of which nobody is the driver any more. False
    where it has to be asked again in a while: something is still on its way to MLflow.

    Raises:
        SweeperError: MLflow, or the study's database, cannot be reached; the rest is still there.
        UserError: its folder cannot be removed.
    """
    with service.database.reading() as session:
        kept = session.get(Sweep, sweep_id)
    if kept is None or kept.deleted is None:
        return True
    home = service.settings.home
    if not remove_sweep(home, home.sweep(kept.name), sweep_from_dict(kept.spec)):
        return False
    service.readings.forget(kept.name)
    with service.database.writing() as session:
        session.delete(session.get_one(Sweep, sweep_id))
        add_event(session, sweep_id, "erased", {"name": kept.name})
    return True
