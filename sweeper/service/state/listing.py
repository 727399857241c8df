"""Sweeps by the page: those that are asked for, in the order that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from sweeper.service.state.sweeps import Entry, entries_chosen
from sweeper.service.state.tables import ENDS, Driver, Lease, Person, Sweep

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
    """Which sweeps: in one of `states`, of one `owner`, with each word of `text` in its name, its
    owner's or its description; what is empty chooses all."""

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
    skip: int = 0,
    limit: int = 50,
) -> list[Entry]:
    """At most `limit` sweeps: those after so many, or `after` (`key_of` the last one seen, its id),
    which leaves none out and shows none twice while others come."""
    chosen = _chosen(wish)
    column = _COLUMNS[sort]
    if after is not None:
        place, last = tuple_(column, Sweep.id), tuple_(*after)
        chosen = chosen.where(place < last if descending else place > last)
    keys = (column, Sweep.id)
    ordered = chosen.order_by(*(key.desc() if descending else key.asc() for key in keys))
    return [Entry(*row) for row in session.execute(ordered.offset(skip).limit(limit))]


def count(session: Session, wish: Wish) -> int:
    """How many there are of these."""
    chosen = _chosen(wish).with_only_columns(func.count(Sweep.id), maintain_column_froms=True)
    return int(session.scalar(chosen) or 0)


def at_work(session: Session) -> int:
    """How many trials are at work in all sweeps together."""
    chosen = (
        select(func.sum(Driver.at_work))
        .join(Lease, Lease.sweep_id == Driver.sweep_id)
        .where(Lease.state.not_in(ENDS))
    )
    return int(session.scalar(chosen) or 0)


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
    for word in wish.text.split():
        found = (
            column.icontains(word, autoescape=True)
            for column in (Sweep.name, Person.name, Sweep.description)
        )
        chosen = chosen.where(or_(*found))
    return chosen
