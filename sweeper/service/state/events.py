"""What happened, under numbers without a gap: whoever has seen number n goes on with n + 1."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from sweeper.service.state.tables import Counter, Event

_SERIES = "events"


def add_event(session: Session, sweep_id: str | None, kind: str, data: Mapping[str, Any]) -> int:
    """Write one down; its number."""
    return add_events(session, sweep_id, [(kind, data, time.time())])


def add_events(
    session: Session, sweep_id: str | None, happened: Sequence[tuple[str, Mapping[str, Any], float]]
) -> int:
    """Write several down, each (kind, data, time), in this order; the last one's number.

    The counter's row is locked until the transaction ends: who reads a number has, or will never
    have, all that are lower.
    """
    last = session.scalar(
        update(Counter)
        .where(Counter.name == _SERIES)
        .values(value=Counter.value + len(happened))
        .returning(Counter.value)
    )
    assert last is not None, "the first migration writes the counter's row"
    first = last - len(happened) + 1
    if happened:
        session.execute(
            insert(Event),
            [
                {"id": number, "sweep_id": sweep_id, "kind": kind, "data": dict(data), "time": when}
                for number, (kind, data, when) in enumerate(happened, first)
            ],
        )
    return int(last)


def take_turn(session: Session) -> None:
    """Have nobody else write events until this transaction ends: what it looks up before it adds
    something with its event stays true."""
    session.execute(select(Counter).where(Counter.name == _SERIES).with_for_update())


def events_after(
    session: Session, number: int, sweep_id: str | None = None, limit: int = 1000
) -> list[Event]:
    """Those after this number, of one sweep or of all, in order."""
    chosen = select(Event).where(Event.id > number).order_by(Event.id).limit(limit)
    return list(session.scalars(chosen.where(Event.sweep_id == sweep_id) if sweep_id else chosen))


def last_event(session: Session) -> int:
    """The last number; 0 before anything happened."""
    return int(session.scalar(select(func.max(Event.id))) or 0)
