"""Sweeps as their owners want them, and what the dispatcher and the driver say of them."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from sweeper.errors import SpecConflict, UnknownSweep, UserError
from sweeper.service.state.events import add_event, take_turn
from sweeper.service.state.tables import (
    ENDS,
    Driver,
    Lease,
    Order,
    Person,
    Priority,
    Sweep,
    Usage,
    Wanted,
)
from trials.problems import nearest

MOST_SWEEPS = 500
"""Sweeps of one person that have not ended: the dispatcher looks at all of them every second."""

MOST_ORDERS = 1000
"""Orders of one sweep that wait for its driver."""

NOT_OVER = Lease.state.not_in(ENDS) | ((Sweep.wanted == "run") & (Sweep.asked > Lease.asked))
"""Which sweeps have not ended, or are wanted again since, also before a dispatcher sees that."""


@dataclass(frozen=True)
class Entry:
    """A sweep with what everybody says of it. `driver` is None before it was first started."""

    sweep: Sweep
    owner: Person
    lease: Lease
    driver: Driver | None

    @property
    def over(self) -> bool:
        """Whether it has ended and nobody wants it to go on."""
        return self.lease.state in ENDS


def add_sweep(
    session: Session,
    owner: Person,
    *,
    name: str,
    source: str,
    spec: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
    priority: Priority = "normal",
    description: str = "",
) -> Sweep:
    """A new sweep at the end of the queue.

    Raises:
        SpecConflict: the name is taken.
    """
    take_turn(session)  # two of one name are not added at once
    taken = session.scalar(select(Person.name).join(Sweep).where(Sweep.name == name))
    if taken is not None:
        raise SpecConflict(
            f"there is a sweep named {name!r} already, of {taken}: resume that one, with other "
            "limits if need be, or give this one another name"
        )
    now = time.time()
    sweep = Sweep(
        id=uuid.uuid4().hex,
        name=name,
        person_id=owner.id,
        description=description,
        priority=priority,
        source=source,
        spec=dict(spec),
        options=dict(options or {}),
        wanted="run",
        asked=now,
        created=now,
    )
    session.add(sweep)
    session.flush()
    session.add(Lease(sweep_id=sweep.id, state="queued", since=now, parallel=0))
    session.flush()
    add_event(session, sweep.id, "submitted", {"name": name, "owner": owner.name})
    return sweep


def check_room(session: Session, owner: Person, again: Sweep | None = None) -> None:
    """See that somebody may have one more sweep that waits or runs: a new one, or an ended one
    `again`. It stays true until the transaction ends.

    Raises:
        UserError: they have as many as anybody may.
    """
    take_turn(session)
    others = select(func.count()).select_from(Sweep).join(Lease, Lease.sweep_id == Sweep.id)
    others = others.where(Sweep.person_id == owner.id, NOT_OVER)
    if again is not None:  # who asks twice for the same needs no more room
        others = others.where(Sweep.id != again.id)
    if (session.scalar(others) or 0) >= MOST_SWEEPS:
        raise UserError(
            f"{owner.name} has {MOST_SWEEPS} sweeps that wait or run, and nobody may have more"
        )


def want(session: Session, entry: Entry, wanted: Wanted, *, by: str) -> None:
    """Say what is wanted of a sweep from now on; the dispatcher and the driver see to it.

    Raises:
        UserError: it has ended and is to go on, and its owner has as many as anybody may.
    """
    kept = session.get_one(Sweep, entry.sweep.id)
    if wanted == "run" and entry.over:
        check_room(session, entry.owner, again=kept)
    # Later than before, whatever the clock says: by that the dispatcher knows that it is new.
    kept.wanted, kept.asked = wanted, max(time.time(), math.nextafter(kept.asked, math.inf))
    add_event(session, kept.id, "wanted", {"wanted": wanted, "by": by})


def unended(session: Session) -> list[Entry]:
    """The sweeps that run or wait, newest first."""
    chosen = entries_chosen().where(Lease.state.not_in(ENDS))
    return [Entry(*row) for row in session.execute(chosen.order_by(Sweep.created.desc()))]


def names(session: Session) -> list[str]:
    """The names that are taken, those of sweeps that are being deleted included; newest first."""
    return list(session.scalars(select(Sweep.name).order_by(Sweep.created.desc())))


def entry_named(session: Session, name: str) -> Entry:
    """The sweep of this name, or of this id.

    Raises:
        UnknownSweep: there is none; the nearest name is given.
    """
    chosen = entries_chosen().where((Sweep.name == name) | (Sweep.id == name))
    # Nobody takes another's requests by giving a sweep that one's id for a name.
    row = session.execute(chosen.order_by((Sweep.id == name).desc())).first()
    if row is None:
        names = session.scalars(select(Sweep.name).where(Sweep.deleted.is_(None))).all()
        close = nearest(name, names)
        raise UnknownSweep(
            f"there is no sweep {name!r}" + (f"; did you mean {close!r}?" if close else "")
        )
    return Entry(*row)


def changing(session: Session, name: str) -> Entry:
    """`entry_named`, whose sweep nobody else changes until the transaction ends.

    Raises:
        UnknownSweep: there is none.
    """
    entry = entry_named(session, name)
    try:
        session.refresh(entry.sweep, with_for_update=True)
        session.refresh(entry.lease)
    except InvalidRequestError:  # its rows went while the lock was waited for
        return entry_named(session, name)
    # It may have been deleted meanwhile: then it is not found any more.
    return entry if entry.sweep.deleted is None else entry_named(session, name)


def entries_chosen() -> Select[Sweep, Person, Lease, Driver]:
    """All sweeps that are not being deleted, to be narrowed down."""
    return (
        select(Sweep, Person, Lease, Driver)
        .join(Person, Person.id == Sweep.person_id)
        .join(Lease, Lease.sweep_id == Sweep.id)
        .outerjoin(Driver, Driver.sweep_id == Sweep.id)
        .where(Sweep.deleted.is_(None))
    )


def names_of_jobs(session: Session, jobs: Collection[str]) -> dict[str, str]:
    """Of these jobs those that drive a sweep: their ids → the sweeps' names."""
    chosen = select(Driver.job, Sweep.name).join(Sweep, Sweep.id == Driver.sweep_id)
    rows = session.execute(chosen.where(Driver.job.in_(jobs))).all()
    return {row.job: row.name for row in rows}


def add_order(
    session: Session,
    sweep: Sweep,
    by: Person,
    kind: str,
    *,
    number: int | None = None,
    payload: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Order:
    """Ask something of one trial; the sweep's driver sees to it.

    Raises:
        UserError: as many orders wait for it as may.
    """
    waiting = select(func.count()).where(Order.sweep_id == sweep.id, Order.done.is_(None))
    if (session.scalar(waiting) or 0) >= MOST_ORDERS:
        raise UserError(f"{MOST_ORDERS} orders wait for the driver of {sweep.name} already")
    order = Order(
        id=uuid.uuid4().hex,
        sweep_id=sweep.id,
        person_id=by.id,
        kind=kind,
        number=number,
        payload=dict(payload or {}),
        reason=reason,
        created=time.time(),
    )
    session.add(order)
    session.flush()
    add_event(session, sweep.id, "ordered", {"order": order.id, "kind": kind, "number": number})
    return order


def orders_of(session: Session, sweep_id: str, *, waiting: bool = False) -> list[Order]:
    """What was asked of single trials, in order; only what is not done yet, with `waiting`."""
    chosen = select(Order).where(Order.sweep_id == sweep_id).order_by(Order.created, Order.id)
    return list(session.scalars(chosen.where(Order.done.is_(None)) if waiting else chosen))


def usage_since(session: Session, when: float) -> Sequence[Usage]:
    """What was used in the hours that had not ended at `when`."""
    return session.scalars(select(Usage).where(Usage.hour > when - 3600)).all()
