"""Who may do what: everybody sees every sweep and changes their own; admins change all."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from sweeper.service.problem import Refusal
from sweeper.service.state.accounts import Caller, Scope
from sweeper.service.state.sweeps import Entry


def caller_of(request: Request) -> Caller:
    """Who sends this request, as the guard has found out."""
    caller: Caller = request.state.caller
    return caller


async def _current(request: Request) -> Caller:
    return caller_of(request)


CurrentCaller = Annotated[Caller, Depends(_current)]


def check_scope(caller: Caller, needed: Scope) -> None:
    """Raises:
    Refusal: the token may less; status 403.
    """
    if caller.scope < needed:
        raise Refusal(
            403, "scope", f"The token may only {caller.scope.word}; this needs {needed.word}."
        )


def admin(caller: CurrentCaller) -> Caller:
    """Raises:
    Refusal: the token is no admin's; status 403.
    """
    check_scope(caller, Scope.ADMIN)
    return caller


CurrentAdmin = Annotated[Caller, Depends(admin)]


def may_change(caller: Caller, entry: Entry) -> bool:
    """Whether the caller changes this sweep: it is theirs, and their token may do so."""
    return caller.may_submit and _is_theirs(caller, entry)


def check_change(caller: Caller, entry: Entry) -> None:
    """Raises:
    Refusal: the token may only read, or the sweep is somebody else's; status 403.
    """
    check_scope(caller, Scope.SUBMIT)
    if not _is_theirs(caller, entry):
        raise Refusal(
            403,
            "not-yours",
            f"{entry.sweep.name} is {entry.owner.name}'s: only its owner or an admin changes it.",
        )


def _is_theirs(caller: Caller, entry: Entry) -> bool:
    return caller.is_admin or entry.owner.id == caller.person.id
