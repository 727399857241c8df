"""What the dispatcher reads at a look and writes at its end, all in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from sweeper.service.state.sweeps import NOT_OVER
from sweeper.service.state.tables import ENDS, Counter, Driver, Lease, Person, Sweep, Usage

_TERM = "dispatcher"


@dataclass(frozen=True)
class Pending:
    """A sweep that is not over: what is wanted of it, without its file, and its rows, which may be
    changed until the transaction ends."""

    id: str
    name: str
    person_id: int
    priority: str
    wanted: str
    asked: float
    created: float
    deleted: float | None
    resources: Mapping[str, Any]
    limits: Mapping[str, Any]
    lease: Lease
    driver: Driver | None

    @property
    def driven(self) -> bool:
        """Whether a driver is out there, or about to be."""
        return self.driver is not None and self.driver.attempt > self.lease.settled

    @property
    def left_open(self) -> bool:
        """Whether its last driver was lost, so that what there is of it in MLflow still runs there:
        who stops it has another one close that. What is deleted, `erase` closes."""
        driver = self.driver
        if driver is None or self.driven or self.deleted is not None:
            return False
        begun = driver.heartbeat is not None or driver.cpu_seconds + driver.gpu_seconds > 0
        return driver.outcome is None and begun

    def job(self, attempt: int) -> str:
        """The name of the job that is this attempt at it: with a part of the id, since another
        sweep may have had the name, and jobs are remembered."""
        return f"{self.name}-{self.id[:8]}-{attempt}"

    @property
    def wanted_again(self) -> bool:
        """Whether it has ended, and was asked to go on after that."""
        return self.lease.state in ENDS and self.wanted == "run" and self.asked > self.lease.asked


def take_term(session: Session) -> int:
    """Begin a dispatcher's term: from now on an earlier dispatcher writes nothing any more."""
    term = session.scalar(
        update(Counter)
        .where(Counter.name == _TERM)
        .values(value=Counter.value + 1)
        .returning(Counter.value)
    )
    if term is None:
        term = 1
        session.add(Counter(name=_TERM, value=term))
    return int(term)


def is_current(session: Session, term: int) -> bool:
    """Whether this term lasts; if so, it does until the transaction ends."""
    chosen = select(Counter.value).where(Counter.name == _TERM).with_for_update()
    return session.scalar(chosen) == term


def pending(session: Session) -> list[Pending]:
    """All sweeps that something is to be done about, oldest first."""
    rows = session.execute(
        select(
            *(Sweep.id, Sweep.name, Sweep.person_id, Sweep.priority, Sweep.wanted, Sweep.asked),
            *(Sweep.created, Sweep.deleted, Sweep.spec["resources"], Sweep.spec["limits"]),
            *(Lease, Driver),
        )
        .join(Lease, Lease.sweep_id == Sweep.id)
        .outerjoin(Driver, Driver.sweep_id == Sweep.id)
        .where(NOT_OVER | Sweep.deleted.is_not(None))
        .order_by(Sweep.created, Sweep.id)
    )
    return [Pending(*row) for row in rows]


def begin_driver(session: Session, sweep: Pending) -> Driver:
    """The row of the next driver of a sweep. From now on an earlier one writes nothing any more."""
    driver = sweep.driver
    if driver is None:
        driver = Driver(sweep_id=sweep.id, attempt=0, gpu_seconds=0.0, cpu_seconds=0.0, over=0)
        session.add(driver)
    driver.attempt += 1
    driver.job = sweep.job(driver.attempt)
    driver.begun, driver.heartbeat, driver.ended = time.time(), None, None
    driver.host, driver.pid, driver.phase, driver.message = "", None, "starting", ""
    driver.at_work, driver.machines, driver.wants, driver.outcome = 0, {}, None, None
    session.flush()
    return driver


def owners(session: Session) -> dict[int, Person]:
    """Everybody, by id."""
    return {person.id: person for person in session.scalars(select(Person))}


def use_by_hour(session: Session, since: float) -> dict[int, dict[int, tuple[float, float]]]:
    """What each person's sweeps have used in the hours that began after `since`: seconds of CPU and
    GPU under the time at which the hour began."""
    rows = session.execute(
        select(
            *(Usage.person_id, Usage.hour),
            *(func.sum(Usage.cpu_seconds), func.sum(Usage.gpu_seconds)),
        )
        .where(Usage.hour > since)
        .group_by(Usage.person_id, Usage.hour)
    )
    used: dict[int, dict[int, tuple[float, float]]] = {}
    for person, hour, cpu, gpu in rows:
        used.setdefault(person, {})[hour] = (cpu, gpu)
    return used


def gpu_seconds_since(session: Session, when: float) -> dict[int, float]:
    """GPU seconds of each person in the hours from `when` on."""
    rows = session.execute(
        select(Usage.person_id, func.sum(Usage.gpu_seconds))
        .where(Usage.hour >= when)
        .group_by(Usage.person_id)
    )
    return dict(rows.all())
