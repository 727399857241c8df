"""Sweeps by the page: those that are asked for, in the order that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from sweeper.service.state.sweeps import Entry, entries_chosen
from sweeper.service.state.tables import Driver, Lease, Person, Sweep

Sort = Literal["created", "name", "owner", "state", "since"]

_COLUMNS: dict[Sort, InstrumentedAttribute[Any]] = {
    "created": Sweep.created,
    "name": Sweep.name,
    "owner": Person.name,
    "state": Lease.state,
    "since": Lease.since,
}


@dataclass(frozen=True)
class Wish:
    """Which sweeps: in one of `states`, of one `owner`, with `text` in name or description; what is
    empty chooses all."""

    states: Sequence[str] = ()
    owner: str = ""
    text: str = ""


def listed(
    session: Session,
    wish: Wish,
    *,
    sort: Sort = "created",
    descending: bool = True,
    after: tuple[Any, str] | None = None,
    limit: int = 50,
) -> list[Entry]:
    """At most `limit` sweeps. `after` is (`key_of` the last one seen, its id)."""
    chosen = _chosen(wish)
    column = _COLUMNS[sort]
    if after is not None:
        place, last = tuple_(column, Sweep.id), tuple_(*after)
        chosen = chosen.where(place < last if descending else place > last)
    keys = (column, Sweep.id)
    ordered = chosen.order_by(*(key.desc() if descending else key.asc() for key in keys))
    return [Entry(*row) for row in session.execute(ordered.limit(limit))]


def key_of(entry: Entry, sort: Sort) -> Any:
    """What a sweep is sorted by."""
    return {
        "created": entry.sweep.created,
        "name": entry.sweep.name,
        "owner": entry.owner.name,
        "state": entry.lease.state,
        "since": entry.lease.since,
    }[sort]


def _chosen(wish: Wish) -> Select[Sweep, Person, Lease, Driver]:
    chosen = entries_chosen()
    if wish.states:
        chosen = chosen.where(Lease.state.in_(wish.states))
    if wish.owner:
        chosen = chosen.where(Person.name == wish.owner)
    if wish.text:
        found = (
            column.icontains(wish.text, autoescape=True)
            for column in (Sweep.name, Sweep.description)
        )
        chosen = chosen.where(or_(*found))
    return chosen
