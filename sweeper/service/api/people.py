"""Who asks; everybody's tokens; for admins people, quotas, and who did what."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import FastAPI, Path, Query, status

from sweeper.service.actions import membership
from sweeper.service.api.paging import Cursor, Limit, cursor_after, read_cursor
from sweeper.service.api.routing import problems, router
from sweeper.service.api.shapes_people import (
    DeedPage,
    DeedShape,
    MadeShape,
    MeShape,
    PersonAsked,
    PersonShape,
    QuotasAsked,
    TokenAsked,
    TokenShape,
)
from sweeper.service.app import CurrentService, Service
from sweeper.service.people.permission import CurrentAdmin, CurrentCaller
from sweeper.service.problem import Refusal
from sweeper.service.state import accounts, audit, sweeps
from sweeper.service.state.accounts import Scope
from sweeper.service.state.tables import Person

people = router("people")
writing = router("people", "submit")
ruling = router("people", "admin")

MONTH = 30 * 86400

PersonName = Annotated[str, Path(max_length=100, description="A person's name.")]


@people.get("/me")
def get_me(service: CurrentService, caller: CurrentCaller) -> MeShape:
    """Say who asks, and what their token may."""
    used = _gpu_hours(service)
    person = PersonShape.of(caller.person, used.get(caller.person.id, 0.0))
    return MeShape(person=person, token=TokenShape.of(caller.token))


@people.get("/tokens", responses=problems(s404="There is nobody of that name."))
def list_tokens(
    service: CurrentService,
    caller: CurrentCaller,
    person: Annotated[
        str | None, Query(max_length=100, description="Whose, by an admin; by default one's own.")
    ] = None,
) -> list[TokenShape]:
    """List tokens: what each may, and when it was last used."""
    with service.database.reading() as session:
        owner: Person | None = caller.person
        if person is not None and person != caller.person.name:
            if not caller.is_admin:
                raise Refusal(403, "scope", "Tokens of others are for admins to see.")
            owner = accounts.person_named(session, person)
        if owner is None:
            raise Refusal(404, "unknown-person", f"there is nobody named {person!r}")
        return [TokenShape.of(token) for token in accounts.tokens_of(session, owner)]


@writing.post("/tokens", status_code=status.HTTP_201_CREATED)
def make_token(asked: TokenAsked, service: CurrentService, caller: CurrentCaller) -> MadeShape:
    """Make a token; what it says is in this answer and nowhere else."""
    token, words = membership.make_token(
        service, caller, asked.name, Scope.of(asked.scope), person=asked.person, days=asked.days
    )
    return MadeShape.made(token, words)


@writing.delete("/tokens/{identifier}", status_code=status.HTTP_204_NO_CONTENT)
def revoke_token(
    identifier: Annotated[str, Path(max_length=100, description="A token's id.")],
    service: CurrentService,
    caller: CurrentCaller,
) -> None:
    """Have a token open nothing from now on, nor the browsers that were signed in with it."""
    membership.revoke_token(service, caller, identifier)


@ruling.get("/people")
def list_people(service: CurrentService, caller: CurrentAdmin) -> list[PersonShape]:
    """List everybody, with weights, quotas and use."""
    used = _gpu_hours(service)
    with service.database.reading() as session:
        everybody = accounts.people(session)
    return [PersonShape.of(person, used.get(person.id, 0.0)) for person in everybody]


@ruling.post("/people", status_code=status.HTTP_201_CREATED)
def add_person(asked: PersonAsked, service: CurrentService, caller: CurrentAdmin) -> PersonShape:
    """Add somebody; a token of theirs is made by `POST /tokens`."""
    return PersonShape.of(membership.add_person(service, caller, asked.name), 0.0)


@ruling.patch("/people/{name:path}")  # earlier versions took any
def change_person(
    name: PersonName, asked: QuotasAsked, service: CurrentService, caller: CurrentAdmin
) -> PersonShape:
    """Give somebody another weight, or other quotas."""
    person = membership.change_person(service, caller, name, asked.given)
    return PersonShape.of(person, _gpu_hours(service).get(person.id, 0.0))


@ruling.get("/audit")
def list_deeds(
    service: CurrentService, caller: CurrentAdmin, cursor: Cursor = None, limit: Limit = 100
) -> DeedPage:
    """List who did what, newest first."""
    key = read_cursor(cursor, "audit", (int,))
    with service.database.reading() as session:
        found = audit.entries(session, before=key[0] if key else None, limit=limit + 1)
    page = found[:limit]
    more = cursor_after("audit", page[-1].id) if len(found) > limit else None
    return DeedPage(items=[DeedShape.of(row) for row in page], next=more)


def install(app: FastAPI) -> None:
    """Add the routes."""
    for added in (people, writing, ruling):
        app.include_router(added)


def _gpu_hours(service: Service) -> dict[int, float]:
    """What everybody has used in a month, by the person's id."""
    used: dict[int, float] = {}
    with service.database.reading() as session:
        for usage in sweeps.usage_since(session, time.time() - MONTH):
            used[usage.person_id] = used.get(usage.person_id, 0.0) + usage.gpu_seconds / 3600
    return used
