"""People and their tokens: who is there, what they may use, and what lets them in."""

from __future__ import annotations

from typing import Any

from sweeper.errors import UserError
from sweeper.service.app import Service
from sweeper.service.people.permission import admin
from sweeper.service.problem import Refusal
from sweeper.service.state import accounts, audit
from sweeper.service.state.accounts import Caller, Scope
from sweeper.service.state.tables import Person, Token

NAME_LONGEST = 100


def make_token(
    service: Service,
    caller: Caller,
    name: str,
    scope: Scope,
    *,
    person: str | None = None,
    days: float | None = None,
) -> tuple[Token, str]:
    """A new token of one's own, or by an admin of another's, and the words that are shown once. It
    may no more than the token that asks for it, and does not outlive it.

    Raises:
        Refusal: it may more; the one that asks has been revoked meanwhile; or the other person is
            not the caller's to give a token to.
        UserError: there is nobody of that name, or it can have no such name or length of life.
    """
    own = person is None or person == caller.person.name
    if not own:
        admin(caller)
    if scope > caller.scope:
        words = f"A token that may only {caller.scope.word} makes none that may {scope.word}."
        raise Refusal(403, "scope", words)
    label = name.strip()
    if not label or len(label) > NAME_LONGEST or not label.isprintable():
        raise UserError(f"{name!r} cannot be a token's name: 1 to 100 printable characters")
    with service.database.writing() as session:
        if not accounts.holds(session, caller.token):
            raise Refusal(
                401, "no-token", "The token that asks for another opens nothing any more."
            )
        owner = caller.person if own else accounts.person_named(session, str(person))
        if owner is None:
            raise UserError(f"there is nobody named {person!r}")
        token, words = accounts.add_token(session, owner, label, scope, days=days)
        token.made_with = caller.token.id
        if caller.token.expires is not None:
            token.expires = min(token.expires or caller.token.expires, caller.token.expires)
        detail = {"of": owner.name, "scope": scope.word, "name": label}
        audit.note(session, caller, "make a token", token.id, detail=detail)
    return token, words


def revoke_token(service: Service, caller: Caller, identifier: str) -> None:
    """Have a token, and all that was made with it, open nothing from now on: one's own, or by an
    admin any.

    Raises:
        Refusal: there is none, or it is somebody else's; status 404.
    """
    with service.database.writing() as session:
        token = session.get(Token, identifier)
        if token is None or (token.person_id != caller.person.id and not caller.is_admin):
            # Whether another's is there is not told.
            raise Refusal(404, "unknown-token", f"you have no token {identifier!r}")
        accounts.revoke(session, identifier)
        audit.note(session, caller, "revoke a token", identifier)


def add_person(service: Service, caller: Caller, name: str) -> Person:
    """Somebody new.

    Raises:
        Refusal: the caller is no admin.
        UserError: the name is taken, or cannot be one.
    """
    admin(caller)
    with service.database.writing() as session:
        person = accounts.add_person(session, name.strip())
        audit.note(session, caller, "add a person", person.name)
    return person


def change_person(service: Service, caller: Caller, name: str, given: dict[str, Any]) -> Person:
    """Give somebody another weight or other quotas: `weight`, `max_parallel`, `max_gpus`,
    `gpu_hours_month`, as far as they are given; a quota of None is none.

    Raises:
        Refusal: the caller is no admin, or there is nobody of that name.
        UserError: a number cannot be.
    """
    admin(caller)
    weight = given.get("weight", 1.0)
    if weight is None or not 0.01 <= weight <= 100:
        raise UserError(f"a weight is a number from 0.01 to 100, not {weight}")
    for key in ("max_parallel", "max_gpus", "gpu_hours_month"):
        if (value := given.get(key)) is not None and not 0 <= value <= 1e9:
            raise UserError(f"{key.replace('_', ' ')}: {value} is not a quota; expected 0 or more")
    with service.database.writing() as session:
        person = accounts.person_named(session, name)
        if person is None:
            raise Refusal(404, "unknown-person", f"there is nobody named {name!r}")
        before = {key: getattr(person, key) for key in given}
        for key, value in given.items():
            setattr(person, key, value)
        changed = {key: value for key, value in given.items() if before[key] != value}
        if changed:
            audit.note(session, caller, "change a person", name, detail=changed)
    return person
