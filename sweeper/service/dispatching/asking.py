"""What the queue is asked at a look: the rows in its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import cast

from sweeper.service.queue.asking import (
    HALF_LIFE,
    Asking,
    Machine,
    Needs,
    Person,
    Priority,
    Quotas,
    Totals,
    recent_use,
)
from sweeper.service.state import dispatch
from sweeper.service.state.database import Session
from sweeper.service.state.dispatch import Pending
from sweeper.service.state.tables import ENDS
from sweeper.sweepfile.resources import Resources

_REMEMBERED = 12 * HALF_LIFE
"""Seconds after which use counts for nothing."""


def people(session: Session, machines: Sequence[Machine], now: float) -> dict[int, Person]:
    """Everybody as the queue knows them, by id, with what they have used."""
    used = dispatch.use_by_hour(session, now - _REMEMBERED)
    month = dispatch.gpu_seconds_since(session, _month_began(now))
    totals = Totals.of(machines)
    return {
        key: Person(
            row.name,
            row.weight,
            Quotas(row.max_parallel, row.max_gpus, row.gpu_hours_month),
            recent_use(used.get(key, {}), now, totals),
            month.get(key, 0.0) / 3600,
        )
        for key, row in dispatch.owners(session).items()
    }


def asks(sweep: Pending) -> bool:
    """Whether it would use a lease now: it is to run, or some of its trials still do."""
    if sweep.lease.state in ENDS or sweep.deleted is not None:
        return False
    at_work = sweep.driver.at_work if sweep.driver and sweep.driven else 0
    return sweep.wanted == "run" or (sweep.wanted != "cancel" and at_work > 0)


def asked(sweeps: Iterable[Pending], owners: dict[int, Person]) -> list[Asking]:
    """What these sweeps ask for."""
    return [_asked(sweep, owners[sweep.person_id].name) for sweep in sweeps]


def _asked(sweep: Pending, owner: str) -> Asking:
    driver = sweep.driver if sweep.driven else None
    at_work = driver.at_work if driver else 0
    wants = int(sweep.limits.get("parallel", 1))
    if sweep.wanted != "run":
        wants = at_work
    elif driver is not None and driver.wants is not None:
        wants = min(wants, driver.wants)
    forecast = driver.forecast if driver else {}
    resources = Resources.model_validate(dict(sweep.resources))
    each = forecast.get("each") or {} if resources.shares else {}
    needs = Needs(each.get("cpu", resources.whole.cpu), each.get("gpu", resources.whole.gpu))
    return Asking(
        sweep.id,
        sweep.name,
        owner,
        needs,
        wants,
        sweep.created,
        cast(Priority, sweep.priority),
        at_work,
        {machine: int(count) for machine, count in driver.machines.items()} if driver else {},
        (forecast.get("seconds") or {}).get("expected"),
        forecast.get("interval"),
    )


def _month_began(now: float) -> float:
    today = datetime.fromtimestamp(now, UTC)
    return datetime(today.year, today.month, 1, tzinfo=UTC).timestamp()
