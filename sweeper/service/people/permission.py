"""Who may do what: everybody sees every sweep and changes their own; admins change all."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from sweeper.service.problem import Refusal
from sweeper.service.state.accounts import Caller
from sweeper.service.state.sweeps import Entry


def caller_of(request: Request) -> Caller:
    """Who sends this request, as the guard has found out."""
    caller: Caller = request.state.caller
    return caller


async def _current(request: Request) -> Caller:
    return caller_of(request)


CurrentCaller = Annotated[Caller, Depends(_current)]


def admin(caller: CurrentCaller) -> Caller:
    """Raises:
    Refusal: the token is no admin's; status 403.
    """
    if not caller.is_admin:
        raise Refusal(403, "scope", f"The token may only {caller.scope.word}; this needs admin.")
    return caller


CurrentAdmin = Annotated[Caller, Depends(admin)]


def may_change(caller: Caller, entry: Entry) -> bool:
    """Whether this sweep is the caller's to change."""
    return caller.is_admin or entry.owner.id == caller.person.id


def check_change(caller: Caller, entry: Entry) -> None:
    """Raises:
    Refusal: the sweep is somebody else's; status 403.
    """
    if not may_change(caller, entry):
        raise Refusal(
            403,
            "not-yours",
            f"{entry.sweep.name} is {entry.owner.name}'s: only its owner or an admin changes it.",
        )
