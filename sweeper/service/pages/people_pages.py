"""People, with weights and quotas; everybody's own tokens; who did what."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from sweeper.errors import UserError
from sweeper.service.actions import membership
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentAdmin, CurrentCaller
from sweeper.service.state import accounts, audit, sweeps
from sweeper.service.state.accounts import Caller, Scope

router = new_router()

QUOTAS = {
    "weight": "weight",
    "max_parallel": "parallel trials",
    "max_gpus": "GPUs at once",
    "gpu_hours_month": "GPU hours per month",
}
_AUDITED = 100
_MONTH = 30 * 86400


async def _form(request: Request) -> FormData:
    return await request.form()


# Tokens -----------------------------------------------------------------------------------------


@router.get("/tokens")
def tokens(request: Request, service: CurrentService, caller: CurrentCaller) -> Response:
    """One's own tokens, and to an admin everybody's."""
    return _tokens(request, service, caller)


@router.post("/tokens")
def make_token(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    name: Annotated[str, Form()] = "",
    scope: Annotated[str, Form()] = "read",
    days: Annotated[str, Form()] = "",
    person: Annotated[str, Form()] = "",
) -> Response:
    """Make one; its words are on this answer and nowhere else."""
    try:
        lasting = float(days) if days.strip() else None
    except ValueError:
        lasting = 0.0  # which is refused in words
    try:
        token, words = membership.make_token(
            service, caller, name, Scope.of(scope), person=person or None, days=lasting
        )
    except UserError as error:
        return _tokens(request, service, caller, problem=str(error), status=422)
    return _tokens(request, service, caller, made=words, made_name=token.name)


@router.post("/tokens/{identifier}/revoke")
def revoke_token(service: CurrentService, caller: CurrentCaller, identifier: str) -> Response:
    """Have one open nothing any more."""
    membership.revoke_token(service, caller, identifier)
    return RedirectResponse("/tokens", 303)


def _tokens(
    request: Request,
    service: Service,
    caller: Caller,
    *,
    made: str = "",
    made_name: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    with service.database.reading() as session:
        everybody = accounts.people(session) if caller.is_admin else [caller.person]
        every = accounts.tokens_of(session, None if caller.is_admin else caller.person)
    names = {person.id: person.name for person in everybody}
    own = [one for one in every if one.person_id == caller.person.id]
    others = [one for one in every if one.person_id != caller.person.id]
    others.sort(key=lambda one: names[one.person_id])
    return page(
        request,
        "tokens.html",
        status=status,
        own=own,
        others=others,
        names=names,
        scopes=[scope.word for scope in Scope if scope <= caller.scope],
        now=time.time(),
        made=made,
        made_name=made_name,
        problem=problem,
        address=service.settings.address,
    )


# People -----------------------------------------------------------------------------------------


@router.get("/people")
def people(request: Request, service: CurrentService, caller: CurrentAdmin) -> Response:
    """Everybody, what they may use, and what they have used."""
    return _people(request, service)


@router.post("/people")
def add_person(
    request: Request,
    service: CurrentService,
    caller: CurrentAdmin,
    name: Annotated[str, Form()] = "",
) -> Response:
    """Somebody new."""
    try:
        membership.add_person(service, caller, name)
    except UserError as error:
        return _people(request, service, problem=str(error), status=422)
    return RedirectResponse("/people", 303)


@router.post("/people/{name:path}")  # earlier versions took any
def change_person(
    request: Request,
    service: CurrentService,
    caller: CurrentAdmin,
    name: str,
    form: Annotated[FormData, Depends(_form)],
) -> Response:
    """Another weight, other quotas."""
    try:
        given = {key: _number(key, str(form.get(key, ""))) for key in QUOTAS}
        membership.change_person(service, caller, name, given)
    except UserError as error:
        return _people(request, service, problem=str(error), status=422)
    return RedirectResponse("/people", 303)


def _people(
    request: Request, service: Service, *, problem: str = "", status: int = 200
) -> Response:
    since = time.time() - _MONTH
    used: dict[int, float] = {}
    with service.database.reading() as session:
        everybody = accounts.people(session)
        for usage in sweeps.usage_since(session, since):
            used[usage.person_id] = used.get(usage.person_id, 0.0) + usage.gpu_seconds
    return page(
        request,
        "people.html",
        status=status,
        people=everybody,
        used=used,
        quotas=QUOTAS,
        problem=problem,
    )


def _number(key: str, text: str) -> Any:
    """A number of the form; None for an empty field.

    Raises:
        UserError: it is none.
    """
    if not text.strip():
        return None
    try:
        return int(text) if key == "max_parallel" else float(text)
    except ValueError as error:
        raise UserError(f"{QUOTAS[key]}: {text!r} is not a number") from error


# Who did what -----------------------------------------------------------------------------------


@router.get("/audit")
def audited(
    request: Request,
    service: CurrentService,
    caller: CurrentAdmin,
    before: Annotated[int | None, Query(ge=1, lt=1 << 53)] = None,  # what a database holds
) -> Response:
    """The audit log, newest first."""
    with service.database.reading() as session:
        rows = audit.entries(session, before=before, limit=_AUDITED)
    return page(request, "audit.html", rows=rows, more=len(rows) == _AUDITED)
