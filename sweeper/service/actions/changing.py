"""What is wanted of a sweep that is there: pause, resume, stop, cancel; other limits, another
place in the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.causes import to_retry
from sweeper.errors import SpecError
from sweeper.service.actions.drafts import written
from sweeper.service.app import Service
from sweeper.service.people.permission import check_change
from sweeper.service.problem import Refusal
from sweeper.service.state import audit, sweeps
from sweeper.service.state.accounts import Caller
from sweeper.service.state.database import Session
from sweeper.service.state.events import add_event
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import Priority, Wanted
from sweeper.sweepfile.load import sweep_from_dict
from trials.problems import Problem

_ENDING = ("stop", "cancel")


@dataclass(frozen=True)
class Changes:
    """What is to be another: None leaves it. A limit of None is taken away."""

    limits: Mapping[str, Any] | None = None
    priority: Priority | None = None
    description: str | None = None


def want(service: Service, caller: Caller, name: str, wanted: Wanted) -> Entry:
    """Pause, stop or cancel a sweep, as far as that is not asked of it already.

    Raises:
        UnknownSweep: there is none.
        Refusal: it is somebody else's, or has ended, or is being ended.
    """
    with service.database.writing() as session:
        entry = _changing(session, caller, name)
        if entry.over:
            raise _conflict(f"{entry.sweep.name} has ended: {entry.lease.state}")
        asked = entry.sweep.wanted
        if asked in _ENDING and (wanted not in _ENDING or asked == "cancel" != wanted):
            raise _conflict(f"{entry.sweep.name} is being ended: {asked} was asked")
        _want(session, caller, entry, wanted)
    return entry


def resume(
    service: Service,
    caller: Caller,
    name: str,
    *,
    retry_failed: Sequence[str] = (),
    accept_protocol: bool = False,
) -> Entry:
    """Have a sweep go on that was paused or has ended; trials that failed by one of the causes
    `retry_failed` are tried again, and a new protocol is accepted where that is said.

    Raises:
        UnknownSweep: there is none.
        Refusal: it is somebody else's, or being ended.
        UserError: `retry_failed` names no cause, or it has ended and its owner has as many that
            wait or run as anybody may.
    """
    to_retry(retry_failed)
    with service.database.writing() as session:
        entry = _changing(session, caller, name)
        if not entry.over and entry.sweep.wanted in _ENDING:
            raise _conflict(f"{entry.sweep.name} is being ended; when it has, this continues it")
        options = {"retry_failed": list(retry_failed), "accept_protocol": accept_protocol}
        entry.sweep.options = {**entry.sweep.options, **options}
        _want(session, caller, entry, "run", again=entry.over)
    return entry


def change(service: Service, caller: Caller, name: str, changes: Changes) -> Entry:
    """Change limits, priority or description of a sweep, whether it waits, runs or has ended.

    Raises:
        UnknownSweep: there is none.
        Refusal: it is somebody else's.
        SpecError: it cannot have such limits.
    """
    with service.database.writing() as session:
        entry = _changing(session, caller, name)
        sweep = entry.sweep
        detail: dict[str, Any] = {}
        if changes.limits is not None:
            detail["limits"] = _limit(entry, changes.limits)
        if changes.priority is not None and changes.priority != sweep.priority:
            sweep.priority = detail["priority"] = changes.priority
        if changes.description is not None and changes.description != sweep.description:
            sweep.description = detail["description"] = changes.description
            _write(entry, {**sweep.spec, "description": changes.description})
        if detail:
            add_event(session, sweep.id, "changed", {"by": caller.person.name, **detail})
            audit.note(session, caller, "change", sweep.name, detail=detail)
    return entry


def extend(service: Service, caller: Caller, name: str, limits: Mapping[str, Any]) -> Entry:
    """Raise limits of a sweep, and have it go on where they had ended it.

    Raises:
        UnknownSweep: there is none.
        Refusal: it is somebody else's, or being ended.
        SpecError: a limit is none, or is not above what it was; or none is given.
        UserError: it has ended, and its owner has as many that wait or run as anybody may.
    """
    if not limits:
        raise SpecError([Problem("limits", "names none that is to be raised", "trials=50, or so")])
    with service.database.writing() as session:
        entry = _changing(session, caller, name)
        if not entry.over and entry.sweep.wanted in _ENDING:
            raise _conflict(f"{entry.sweep.name} is being ended; when it has, this continues it")
        before = entry.sweep.spec.get("limits", {})
        lower = [
            problem
            for key, value in limits.items()
            if (problem := _not_above(key, value, before.get(key)))
        ]
        if lower:
            raise SpecError(lower)
        detail = {"limits": _limit(entry, limits)}
        add_event(session, entry.sweep.id, "changed", {"by": caller.person.name, **detail})
        audit.note(session, caller, "extend", entry.sweep.name, detail=detail)
        if entry.sweep.wanted != "pause":
            sweeps.want(session, entry, "run", by=caller.person.name)
    return entry


def _changing(session: Session, caller: Caller, name: str) -> Entry:
    entry = sweeps.changing(session, name)
    check_change(caller, entry)
    return entry


def _want(
    session: Session, caller: Caller, entry: Entry, wanted: Wanted, *, again: bool = False
) -> None:
    if entry.sweep.wanted == wanted and not again:
        return
    sweeps.want(session, entry, wanted, by=caller.person.name)
    audit.note(session, caller, "resume" if wanted == "run" else wanted, entry.sweep.name)


def _limit(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give a sweep other limits; those that differ now.

    Raises:
        SpecError: it cannot have them.
    """
    before = entry.sweep.spec.get("limits", {})
    after = {key: value for key, value in {**before, **given}.items() if value is not None}
    _write(entry, {**entry.sweep.spec, "limits": after})
    now = entry.sweep.spec["limits"]
    return {key: now.get(key) for key in {**before, **now} if before.get(key) != now.get(key)}


def _write(entry: Entry, spec: Mapping[str, Any]) -> None:
    """Give a sweep another spec, and a file that says the same."""
    sweep = sweep_from_dict(spec, "limits")
    if sweep.to_dict() != entry.sweep.spec:
        entry.sweep.spec = sweep.to_dict()
        entry.sweep.source = written(sweep)


def _not_above(key: str, value: Any, old: Any) -> Problem | None:
    """What is wrong with raising a limit from `old` to `value`, None being no limit. Words are
    neither above nor below: whether a limit may be one of them, the sweep file's reader says."""
    if old is None:
        return Problem(f"limits.{key}", "there is none that could be raised")
    numbers = isinstance(value, int | float) and isinstance(old, int | float)
    if numbers and value <= old:
        return Problem(f"limits.{key}", f"{value:g} is not above what it is", f"more than {old:g}")
    return None


def _conflict(title: str) -> Refusal:
    return Refusal(409, "not-now", title)
