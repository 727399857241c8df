"""Who wants to be told of what, and every word on its way to somebody.

A notice is an event of the kind `notice`. Each subscription that it fits gets one delivery of it,
which is written in the transaction that moves the subscription past the event: none is lost, and
none is made twice. Whoever has no token that opens something is told nothing meanwhile.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, defer

from sweeper.errors import UserError
from sweeper.service.state.accounts import let_in
from sweeper.service.state.events import last_event
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import (
    ENDS,
    Delivery,
    Driver,
    Event,
    Lease,
    Person,
    Subscription,
    Sweep,
)

KIND = "notice"
"""What the events are that people are told of. Their `data` say the occasion, the sweep's name, its
owner and the words."""

MOST = 10
"""Subscriptions of one person."""


@dataclass(frozen=True)
class Due:
    """A word that is to be sent now."""

    delivery: Delivery
    subscription: Subscription
    event: Event


def add_subscription(
    session: Session,
    person: Person,
    *,
    kind: str,
    target: str,
    secret: str,
    occasions: Sequence[str],
    everyone: bool = False,
) -> Subscription:
    """Tell somebody from now on.

    Raises:
        UserError: they have as many subscriptions as anybody may.
    """
    if len(subscriptions_of(session, person)) >= MOST:
        raise UserError(f"{person.name} has {MOST} subscriptions, and nobody may have more")
    subscription = Subscription(
        id=uuid.uuid4().hex,
        person_id=person.id,
        kind=kind,
        target=target,
        secret=secret,
        events=list(occasions),
        everyone=everyone,
        seen=last_event(session),
        created=time.time(),
    )
    session.add(subscription)
    session.flush()
    return subscription


def subscriptions_of(session: Session, person: Person) -> list[Subscription]:
    """Those of somebody, in the order in which they were made."""
    chosen = select(Subscription).where(Subscription.person_id == person.id)
    return list(session.scalars(chosen.order_by(Subscription.created, Subscription.id)))


def subscription_with(session: Session, identifier: str) -> Subscription | None:
    """The subscription of this id, if there is one."""
    return session.get(Subscription, identifier)


def remove_subscription(session: Session, identifier: str) -> None:
    """Tell nobody there any more, not even what is on its way."""
    session.execute(delete(Subscription).where(Subscription.id == identifier))


def last_deliveries(session: Session, identifiers: Collection[str]) -> dict[str, Delivery]:
    """The newest delivery that was tried, of each of these subscriptions that has one."""
    newest = (
        select(func.max(Delivery.id))
        .where(Delivery.subscription_id.in_(identifiers), Delivery.attempts > 0)
        .group_by(Delivery.subscription_id)
    )
    found = session.scalars(select(Delivery).where(Delivery.id.in_(newest)))
    return {delivery.subscription_id: delivery for delivery in found}


def since_when(session: Session) -> float | None:
    """When the first subscription was made that is still there; None: nobody wants to be told."""
    return session.scalar(select(func.min(Subscription.created)))


def watched(session: Session, since: float) -> list[Entry]:
    """Sweeps that have not ended, and those that have after `since`."""
    chosen = (
        select(Sweep, Person, Lease, Driver)
        .options(defer(Sweep.source))
        .join(Person, Person.id == Sweep.person_id)
        .join(Lease, Lease.sweep_id == Sweep.id)
        .outerjoin(Driver, Driver.sweep_id == Sweep.id)
        .where(Sweep.deleted.is_(None), Lease.state.not_in(ENDS) | (Lease.since > since))
    )
    return [Entry(*row) for row in session.execute(chosen)]


def notices_of(session: Session, sweep_ids: Collection[str]) -> list[Event]:
    """The notices of these sweeps so far, in order."""
    chosen = select(Event).where(Event.sweep_id.in_(sweep_ids), Event.kind == KIND)
    return list(session.scalars(chosen.order_by(Event.id)))


def fan_out(session: Session) -> int:
    """Make a delivery of every notice for every subscription that it fits; how many."""
    last, now, made = last_event(session), time.time(), 0
    told = set(session.scalars(let_in()))
    chosen = select(Subscription, Person.name).join(Person).where(Subscription.seen < last)
    for subscription, person in session.execute(chosen).all():
        fresh = select(Event).where(Event.id > subscription.seen, Event.kind == KIND)
        for event in session.scalars(fresh.order_by(Event.id)):
            if subscription.person_id in told and _fits(subscription, person, event.data):
                delivery = Delivery(subscription_id=subscription.id, event_id=event.id, due=now)
                session.add(delivery)
                made += 1
        subscription.seen = last
    return made


def due_now(session: Session, *, without: Collection[str], limit: int) -> list[Due]:
    """What is to be sent now: of each subscription the oldest, save those `without`."""
    first = (
        select(func.min(Delivery.id))
        .where(Delivery.due <= time.time(), Delivery.subscription_id.not_in(without))
        .group_by(Delivery.subscription_id)
    )
    chosen = (
        select(Delivery, Subscription, Event)
        .join(Subscription, Subscription.id == Delivery.subscription_id)
        .join(Event, Event.id == Delivery.event_id)
        .where(Delivery.id.in_(first), Subscription.person_id.in_(let_in()))
        .order_by(Delivery.due)
        .limit(limit)
    )
    return [Due(*row) for row in session.execute(chosen)]


def settle(session: Session, number: int, *, error: str = "", again: float | None = None) -> None:
    """Note that a delivery has arrived; or its `error`, and when to try `again`, None: never."""
    delivery = session.get(Delivery, number)
    if delivery is None:  # its subscription was removed meanwhile
        return
    delivery.attempts += 1
    delivery.error, delivery.due = error, again
    delivery.delivered = None if error else time.time()


def forget_deliveries(session: Session, before: float) -> None:
    """Remove what has arrived or was given up, of events before this time."""
    old = select(Event.id).where(Event.time < before)
    session.execute(delete(Delivery).where(Delivery.due.is_(None), Delivery.event_id.in_(old)))


def _fits(subscription: Subscription, person: str, data: dict[str, Any]) -> bool:
    if data["occasion"] not in subscription.events:
        return False
    return subscription.everyone or data["owner"] == person
