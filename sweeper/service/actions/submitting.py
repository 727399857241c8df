"""A new sweep: of a file that somebody sends, of an earlier sweep, of one trial of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sweeper.causes import to_retry
from sweeper.service.actions.drafts import check_folder, read_draft, written
from sweeper.service.actions.looking import entry_named, trial_of
from sweeper.service.app import Service
from sweeper.service.state import audit, submissions, sweeps
from sweeper.service.state.accounts import Caller
from sweeper.service.state.events import take_turn
from sweeper.service.state.tables import Priority
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.trial import trial_name


@dataclass(frozen=True)
class Submission:
    """What somebody wants run: a file's text, and what `sweeper run` takes beside it. `overrides`
    are laid over the file, `retry_failed` names causes for which trials are tried again."""

    text: str
    overrides: Sequence[str] = ()
    priority: Priority = "normal"
    retry_failed: Sequence[str] = ()
    accept_protocol: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """How the driver is called."""
        return {"retry_failed": list(self.retry_failed), "accept_protocol": self.accept_protocol}

    @property
    def digest(self) -> str:
        """What the request is known by when it is sent again."""
        beside = [list(self.overrides), self.priority, self.options]
        return submissions.digest("submit", self.text, json.dumps(beside, sort_keys=True))


@dataclass(frozen=True)
class Submitted:
    """A sweep that is in the queue; `again` where it was already, by the same request."""

    answer: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False


def submit(
    service: Service, caller: Caller, given: Submission, key: str | None = None
) -> Submitted:
    """Put a sweep into the queue. A request with the `key` of an earlier one is answered as that
    was, and does nothing.

    Raises:
        SpecError: the file is wrong.
        SpecConflict: its name is taken, or the key is another request's.
        UserError: `retry_failed` names no cause, or the caller has as many sweeps as anybody may.
    """
    return _once(service, caller, key, given.digest, lambda: given)


def file_of(service: Service, name: str, trial: int | None = None) -> str:
    """The file of a sweep, to start from; with `trial`, the same search with the configuration of
    that trial for its base.

    Raises:
        UnknownSweep: there is none.
        Refusal: it has no such trial.
    """
    entry = entry_named(service, name)
    if trial is None:
        return entry.sweep.source
    record = trial_of(service, entry, trial)
    sweep = sweep_from_dict(entry.sweep.spec)
    again = f"From trial {trial_name(trial)} of {sweep.name}. {sweep.description}".strip()
    return written(replace(sweep, base=dict(record.config), description=again))


def fork(
    service: Service,
    caller: Caller,
    source: str,
    given: Submission,
    *,
    name: str,
    trial: int | None = None,
    key: str | None = None,
) -> Submitted:
    """Put a new sweep called `name` into the queue, made of the sweep `source` or of one of its
    trials; the text of `given` is not looked at. A request with the `key` of an earlier one is
    answered as that was, whatever has become of `source` since.

    Raises:
        UnknownSweep: there is no `source`.
        Refusal: it has no such trial.
        SpecError: the new one is no valid sweep.
        SpecConflict: its name is taken, or the key is another request's.
    """
    digest = submissions.digest("fork", source, json.dumps([trial, name]), given.digest)

    def made() -> Submission:
        overrides = (f"name={json.dumps(name)}", *given.overrides)
        return replace(given, text=file_of(service, source, trial), overrides=overrides)

    return _once(service, caller, key, digest, made)


def _once(
    service: Service,
    caller: Caller,
    key: str | None,
    digest: str,
    made: Callable[[], Submission],
) -> Submitted:
    """Put what is `made` into the queue, unless the request of this digest was answered before."""
    if key is not None:
        with service.database.reading() as session:
            answer = submissions.answered(session, caller.person, key, digest)
        if answer is not None:
            return Submitted(answer, again=True)
    given = made()
    to_retry(given.retry_failed)
    sweep = read_draft(service, given.text, given.overrides)
    with service.database.writing() as session:
        take_turn(session)
        if key is not None:
            answer = submissions.answered(session, caller.person, key, digest)
            if answer is not None:
                return Submitted(answer, again=True)
        sweeps.check_room(session, caller.person)
        added = sweeps.add_sweep(
            session,
            caller.person,
            name=sweep.name,
            source=written(sweep) if given.overrides else given.text,
            spec=sweep.to_dict(),
            options=given.options,
            priority=given.priority,
            description=sweep.description,
        )
        check_folder(service, sweep.name)
        answer = {"id": added.id, "name": added.name, "owner": caller.person.name}
        answer |= {"created": added.created, "priority": added.priority}
        audit.note(session, caller, "submit", added.name, detail={"id": added.id})
        if key is not None:
            submissions.keep(session, caller.person, key, digest, answer)
    return Submitted(answer)
