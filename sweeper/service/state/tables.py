"""The tables. Times are Unix seconds; a row that is read stays readable after its transaction.

people ─┬─ tokens ── sessions
        ├─ sweeps ─┬─ leases      what the dispatcher lets it run, and why not more
        │          ├─ drivers     the newest driver: attempt, heartbeat, outcome
        │          ├─ orders      what people asked of single trials
        │          ├─ usage       seconds of GPUs and CPUs, by the hour
        │          └─ events      what happened, under one gapless number
        ├─ submissions            answers to requests that may be sent twice
        └─ subscriptions ── deliveries     word to people
audit    who did what            counters     the last number of the events
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sweeper.service.states import ENDS as ENDS
from sweeper.service.states import NO_SPACE as NO_SPACE
from sweeper.service.states import Priority as Priority
from sweeper.service.states import SweepState as SweepState
from sweeper.service.states import Wanted as Wanted


class Table(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON}


class Person(Table):
    """Somebody who submits sweeps. Quotas are limits over all of a person's sweeps; None: none."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    weight: Mapped[float] = mapped_column(default=1.0)
    max_parallel: Mapped[int | None]
    max_gpus: Mapped[float | None]
    gpu_hours_month: Mapped[float | None]
    created: Mapped[float]


class Token(Table):
    """A token of somebody: only its hash is kept. `scope` is read, submit or admin; `made_with` is
    the token that asked for it, with which it is revoked; None where the command line made it."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    hash: Mapped[str]
    scope: Mapped[str]
    created: Mapped[float]
    expires: Mapped[float | None]
    revoked: Mapped[float | None]
    used: Mapped[float | None]
    made_with: Mapped[str | None] = mapped_column(index=True)


class BrowserSession(Table):
    """A browser that somebody has signed in with a token: it ends with the token, or before."""

    __tablename__ = "sessions"

    hash: Mapped[str] = mapped_column(primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str]
    created: Mapped[float]
    expires: Mapped[float]


class Sweep(Table):
    """A sweep as its owner wants it. `name` is its folder's; `source` the file as it was given,
    `spec` the same with every default. `asked` is when `wanted` was last said, `message` what there
    is to say of its state."""

    __tablename__ = "sweeps"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    description: Mapped[str] = mapped_column(Text, default="")
    priority: Mapped[str] = mapped_column(default="normal")
    source: Mapped[str] = mapped_column(Text)
    spec: Mapped[dict[str, Any]]
    options: Mapped[dict[str, Any]]
    """What `sweeper run` takes beside the file: adopt, retry_failed, accept_protocol. Each asks for
    something once, and the driver that has done it takes it out."""
    wanted: Mapped[str] = mapped_column(default="run")
    asked: Mapped[float]
    created: Mapped[float]
    deleted: Mapped[float | None]
    """When it was asked to be deleted; the dispatcher removes it once no driver is at it."""


class Lease(Table):
    """What the dispatcher has decided of a sweep; its alone to write."""

    __tablename__ = "leases"

    sweep_id: Mapped[str] = mapped_column(
        ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True
    )
    state: Mapped[str] = mapped_column(default="queued", index=True)
    since: Mapped[float]
    """When it came into its state."""
    parallel: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it does not run more than it does, in words; empty where nothing holds it up."""
    place: Mapped[int | None]
    """How many are before it in the queue; None where it does not wait."""
    expected: Mapped[float | None]
    """About when it gets its turn."""
    message: Mapped[str] = mapped_column(Text, default="")
    ended: Mapped[float | None]
    starts: Mapped[int] = mapped_column(default=0)
    """How many drivers in a row have died before they did anything."""
    settled: Mapped[int] = mapped_column(default=0)
    """The last attempt whose end is in the state; of a later one the driver is out there."""
    asked: Mapped[float] = mapped_column(default=0.0)
    """The `sweeps.asked` that an end answers: what is wanted later is another matter."""


class Driver(Table):
    """The newest driver of a sweep. The dispatcher begins the row with the next attempt; from then
    on the driver of that attempt alone writes it."""

    __tablename__ = "drivers"

    sweep_id: Mapped[str] = mapped_column(
        ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int]
    job: Mapped[str]
    begun: Mapped[float]
    heartbeat: Mapped[float | None]
    host: Mapped[str] = mapped_column(default="")
    pid: Mapped[int | None]
    phase: Mapped[str] = mapped_column(default="starting")
    at_work: Mapped[int] = mapped_column(default=0)
    machines: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """How many of them are on which machine, as far as their workers have said."""
    wants: Mapped[int | None]
    """How many could be at work now, if it were allowed; None where it has not said."""
    over: Mapped[int] = mapped_column(default=0)
    budget: Mapped[int | None]
    best: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The winner so far as the listings show it: metric, value, trial, confirmed, words."""
    gpu_seconds: Mapped[float] = mapped_column(default=0.0)
    cpu_seconds: Mapped[float] = mapped_column(default=0.0)
    forecast: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outcome: Mapped[str | None]
    """How it ended, in the words of `Outcome.state`, or `NO_SPACE`; None while it lasts."""
    asked: Mapped[float] = mapped_column(default=0.0)
    """The `sweeps.asked` that it knew when it ended."""
    message: Mapped[str] = mapped_column(Text, default="")
    ended: Mapped[float | None]


class Order(Table):
    """What somebody asked of one trial: stop, retry or enqueue. The driver says how it went."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    sweep_id: Mapped[str] = mapped_column(ForeignKey("sweeps.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    kind: Mapped[str]
    number: Mapped[int | None]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[float]
    done: Mapped[float | None]
    outcome: Mapped[str] = mapped_column(Text, default="")


class Usage(Table):
    """Seconds of GPUs and CPUs that a sweep's trials were at work, hour by hour."""

    __tablename__ = "usage"

    sweep_id: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Unix time of the hour's beginning."""
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    gpu_seconds: Mapped[float] = mapped_column(default=0.0)
    cpu_seconds: Mapped[float] = mapped_column(default=0.0)

    __table_args__ = (Index("ix_usage_person_id_hour", "person_id", "hour"),)


class Event(Table):
    """Something that happened. Numbers have no gap, and a lower one was always there first."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sweep_id: Mapped[str | None]
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    time: Mapped[float]

    __table_args__ = (Index("ix_events_sweep_id_id", "sweep_id", "id"),)


class Counter(Table):
    """The last number of a series: its row is locked by the transaction that takes the next one."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Submission(Table):
    """The answer to a request that had an Idempotency-Key, for when it is sent again."""

    __tablename__ = "submissions"

    person_id: Mapped[int] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]
    """Hash of the request: another one under the same key is refused."""
    status: Mapped[int]
    answer: Mapped[dict[str, Any]]
    created: Mapped[float]


class Audit(Table):
    """Who did what, for admins."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[float] = mapped_column(index=True)
    person: Mapped[str]
    token_id: Mapped[str | None]
    address: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Subscription(Table):
    """Where somebody wants to be told, and of what. `kind` is webhook, slack or email."""

    __tablename__ = "subscriptions"

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    target: Mapped[str]
    secret: Mapped[str]
    """The key of the signature; shown to its owner once."""
    events: Mapped[list[str]]
    everyone: Mapped[bool] = mapped_column(default=False)
    """Of everybody's sweeps; else of the person's own."""
    seen: Mapped[int] = mapped_column(BigInteger)
    """Number of the last event that was looked at for it."""
    created: Mapped[float]


class Delivery(Table):
    """One word to one person, until it has arrived or was given up."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(
        ForeignKey("subscriptions.id", ondelete="CASCADE"), index=True
    )
    event_id: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(default=0)
    due: Mapped[float | None] = mapped_column(index=True)
    """When it is tried next; None where it has arrived or was given up."""
    delivered: Mapped[float | None]
    error: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (UniqueConstraint("subscription_id", "event_id"),)
