"""What a driver is told by the rows of its sweep, and what it writes there.

Every write begins with `speaking`, which refuses a driver that has a successor and keeps one from
being begun until the transaction ends.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from sweeper.errors import Superseded
from sweeper.service.state.tables import Driver, Event, Lease, Order, Person, Sweep, Usage, Wanted

TRIAL_KINDS = ("trial_started", "trial_evaluated", "trial_ended")
"""Kinds of events that are told of single trials."""


@dataclass(frozen=True)
class Word:
    """What a driver is told: what is wanted of its sweep, since when, how many trials may be at
    work, whether somebody has ordered something for one of them, and the sweep's limits."""

    wanted: Wanted
    asked: float
    parallel: int
    ordered: bool
    limits: Mapping[str, Any]


def word(session: Session, sweep_id: str, attempt: int) -> Word:
    """What the driver of this attempt is told now.

    Raises:
        Superseded: it is the sweep's driver no longer.
    """
    waits = exists().where(Order.sweep_id == sweep_id, Order.done.is_(None))
    row = session.execute(
        select(
            *(Sweep.wanted, Sweep.asked, Lease.parallel, waits),
            *(Sweep.spec["limits"], Lease.settled, Driver.attempt),
        )
        .join(Lease, Lease.sweep_id == Sweep.id)
        .join(Driver, Driver.sweep_id == Sweep.id)
        .where(Sweep.id == sweep_id)
    ).first()
    if row is None:
        raise Superseded("the sweep was deleted")
    wanted, asked, parallel, ordered, limits, settled, newest = row
    _check(attempt, newest, settled)
    return Word(cast(Wanted, wanted), asked, parallel, ordered, limits)


def speaking(session: Session, sweep_id: str, attempt: int) -> Driver:
    """The row of this attempt, to be written until the transaction ends.

    Raises:
        Superseded: it is the sweep's driver no longer.
    """
    driver = session.scalar(select(Driver).where(Driver.sweep_id == sweep_id).with_for_update())
    if driver is None:
        raise Superseded("the sweep was deleted")
    settled = session.scalar(select(Lease.settled).where(Lease.sweep_id == sweep_id)) or 0
    _check(attempt, driver.attempt, settled)
    return driver


def use(session: Session, driver: Driver, gpu_seconds: float, cpu_seconds: float) -> None:
    """Count what the sweep has used, in all its runs so far; the same may be said twice. What is
    new falls into the present hour."""
    gpu = max(0.0, gpu_seconds - driver.gpu_seconds)
    cpu = max(0.0, cpu_seconds - driver.cpu_seconds)
    if not gpu and not cpu:
        return
    driver.gpu_seconds += gpu
    driver.cpu_seconds += cpu
    hour = int(time.time()) // 3600 * 3600
    row = session.get(Usage, (driver.sweep_id, hour))
    if row is None:
        person = session.get_one(Sweep, driver.sweep_id).person_id
        row = Usage(sweep_id=driver.sweep_id, hour=hour, person_id=person)
        row.gpu_seconds = row.cpu_seconds = 0.0
        session.add(row)
    row.gpu_seconds += gpu
    row.cpu_seconds += cpu


def orders_for(session: Session, sweep_id: str) -> list[tuple[Order, str]]:
    """What is ordered and not done yet, in order, with the names of those who did."""
    rows = session.execute(
        select(Order, Person.name)
        .join(Person, Person.id == Order.person_id)
        .where(Order.sweep_id == sweep_id, Order.done.is_(None))
        .order_by(Order.created, Order.id)
    )
    return [(order, name) for order, name in rows]


def order_done(session: Session, order_id: str, outcome: str) -> None:
    """Say what has come of an order."""
    order = session.get(Order, order_id)
    if order is not None:
        order.done, order.outcome = time.time(), outcome


def done_once(session: Session, sweep_id: str, options: Mapping[str, Any]) -> None:
    """Take these out of the options of a sweep, as far as they are still what is asked of it."""
    if not options:
        return
    # What this transaction has read of it before it had the lock may hold no more.
    sweep = session.get_one(Sweep, sweep_id, populate_existing=True, with_for_update=True)
    sweep.options = {
        name: value
        for name, value in sweep.options.items()
        if name not in options or options[name] != value
    }


def told_of_trials(session: Session, sweep_id: str) -> list[Event]:
    """The events that were told of single trials, in order."""
    chosen = select(Event).where(Event.sweep_id == sweep_id, Event.kind.in_(TRIAL_KINDS))
    return list(session.scalars(chosen.order_by(Event.id)))


def _check(attempt: int, newest: int, settled: int) -> None:
    if newest > attempt:
        raise Superseded(f"attempt {newest} drives the sweep now; this one, {attempt}, ends")
    if settled >= attempt:
        raise Superseded(f"attempt {attempt} was taken for lost, and is over")
