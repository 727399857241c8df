"""What people ask of single trials. The sweep's driver obeys, and says how it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.errors import UserError
from sweeper.search.enqueued import Unfit, point
from sweeper.service.actions.looking import entry_named, trial_of
from sweeper.service.app import Service
from sweeper.service.people.permission import check_change
from sweeper.service.problem import Refusal
from sweeper.service.state import audit, sweeps
from sweeper.service.state.accounts import Caller
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import Order
from sweeper.sweepfile.load import sweep_from_dict


def stop_trial(service: Service, caller: Caller, name: str, number: int, reason: str = "") -> Order:
    """End a trial that waits or is at work; the study is told so, with the reason.

    Raises:
        UnknownSweep: there is no such sweep.
        Refusal: it is somebody else's, or the trial is not there, or over.
    """
    entry = entry_named(service, name)
    check_change(caller, entry)
    trial = trial_of(service, entry, number)
    if trial.over:
        raise _conflict(f"trial {trial.name} of {entry.sweep.name} is over: {trial.state}")
    return _order(service, caller, entry, "stop", number=number, reason=reason)


def retry_trial(
    service: Service, caller: Caller, name: str, number: int, *, anew: bool = False
) -> Order:
    """Try a failed trial again under its number: from its last checkpoint, or `anew` from nothing.
    A sweep that has ended goes on for it.

    Raises:
        UnknownSweep: there is no such sweep.
        Refusal: it is somebody else's, or the trial is not there, or has not failed.
        UserError: as many orders wait for it as may, or it has ended and its owner has as many that
            wait or run as anybody may.
    """
    entry = entry_named(service, name)
    check_change(caller, entry)
    trial = trial_of(service, entry, number)
    if trial.state != "failed":
        raise _conflict(
            f"trial {trial.name} of {entry.sweep.name} has not failed: it is {trial.state}"
        )
    return _order(service, caller, entry, "retry", number=number, payload={"anew": anew})


def enqueue(service: Service, caller: Caller, name: str, values: Mapping[str, Any]) -> Order:
    """Have a sweep run a configuration of one's own, within its limits; the sampler chooses what
    `values`, by dotted path, leaves open.

    Raises:
        UnknownSweep: there is no such sweep.
        Refusal: it is somebody else's, or has ended.
        UserError: this is no point of what it searches.
    """
    entry = entry_named(service, name)
    check_change(caller, entry)
    sweep = sweep_from_dict(entry.sweep.spec)
    if sweep.is_ablation:
        raise UserError(f"{sweep.name} is an ablation: it runs the cells of its design, no others")
    try:
        point(sweep, values)
    except Unfit as error:
        raise UserError(f"{sweep.name} cannot run that: {error}") from error
    return _order(service, caller, entry, "enqueue", payload=values)


def orders_of(service: Service, name: str) -> tuple[Entry, list[Order]]:
    """What was asked of a sweep's trials, and how it went, in order.

    Raises:
        UnknownSweep: there is no such sweep.
    """
    with service.database.reading() as session:
        entry = sweeps.entry_named(session, name)
        return entry, sweeps.orders_of(session, entry.sweep.id)


def _order(
    service: Service,
    caller: Caller,
    entry: Entry,
    kind: str,
    *,
    number: int | None = None,
    payload: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Order:
    with service.database.writing() as session:
        changing = sweeps.changing(session, entry.sweep.id)
        if kind == "enqueue" and changing.over:
            name = changing.sweep.name
            raise _conflict(f"{name} has ended: extend it first, then it has room for more")
        order = sweeps.add_order(
            session,
            changing.sweep,
            caller.person,
            kind,
            number=number,
            payload=payload,
            reason=reason,
        )
        detail = {"order": order.id, "number": number, "reason": reason}
        audit.note(session, caller, f"{kind} a trial", changing.sweep.name, detail=detail)
        if kind == "retry" and changing.over:
            sweeps.want(session, changing, "run", by=caller.person.name)
    return order


def _conflict(title: str) -> Refusal:
    return Refusal(409, "not-now", title)
