"""The verb `token`: people and tokens of a service, on the server's own machine.

It goes to the database itself, so that it works before the service was ever started and while it is
down: for the first admin, and for emergencies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import HomeOption, JsonOption, print_json
from sweeper.cli.printing import print_table, say
from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.permissions import private

if TYPE_CHECKING:
    from sweeper.service.state.database import Database

SCOPES = "read, submit (which reads too) or admin (which does everything)"

token = typer.Typer(
    help="Manage people and tokens, on the service's machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    token.command(name="new")(new)
    token.command(name="ls")(ls)
    token.command(name="revoke")(revoke)
    token.command(name="people")(people)
    app.add_typer(token, name="token")


def new(
    person: Annotated[str, typer.Argument(help="Owner of the token.", metavar="PERSON")],
    scope: Annotated[str, typer.Option(help=f"Permissions: {SCOPES}.")] = "submit",
    days: Annotated[float | None, typer.Option(help="Days until it expires.  [never]")] = None,
    name: Annotated[str, typer.Option(help="Purpose, to tell tokens apart.")] = "terminal",
    home: HomeOption = None,
) -> None:
    """Make a token and print it, once. A new person is added."""
    from sweeper.service.state import accounts, audit

    chosen = accounts.Scope.of(scope)
    with _database(Home.at(home), create=True) as database, database.writing() as session:
        owner = accounts.person_named(session, person)
        added = owner is None
        owner = owner or accounts.add_person(session, person)
        made, words = accounts.add_token(session, owner, name, chosen, days=days)
        audit.note(session, None, "make a token", person, detail={"id": made.id, "scope": scope})
    say(f"added {person}" if added else f"another token of {person}", err=True)
    until = "" if made.expires is None else f", until {_day(made.expires)}"
    say(f"token {made.id} to {chosen.word}{until}, shown this once:", err=True)
    say(words)


def ls(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the tokens, without their secrets."""
    from sweeper.service.state import accounts

    with _database(Home.at(home)) as database, database.reading() as session:
        names = {person.id: person.name for person in accounts.people(session)}
        found: list[dict[str, Any]] = [
            {
                "id": one.id,
                "person": names[one.person_id],
                "scope": one.scope,
                "name": one.name,
                "created": one.created,
                "used": one.used,
                "expires": one.expires,
                "revoked": one.revoked,
            }
            for one in accounts.tokens_of(session)
        ]
    if json:
        print_json(found)
        return
    rows = [
        (
            *(one[key] for key in ("id", "person", "scope")),
            "never" if one["used"] is None else _day(one["used"]),
            _state(one["revoked"], one["expires"]),
            one["name"],
        )
        for one in found
    ]
    print_table(("id", "person", "scope", "used", "state", "name"), rows)


def revoke(
    identifier: Annotated[str, typer.Argument(help="Id of a token, as in `ls`.", metavar="ID")],
    home: HomeOption = None,
) -> None:
    """Revoke a token, and sign out the browsers that used it."""
    from sweeper.service.state import accounts, audit

    # Whoever pastes a whole token means it: its id is in it.
    identifier = identifier.split("_")[1] if identifier.count("_") >= 2 else identifier
    with _database(Home.at(home)) as database, database.writing() as session:
        owner = accounts.revoke(session, identifier).person_id
        person = next(one.name for one in accounts.people(session) if one.id == owner)
        audit.note(session, None, "revoke a token", person, detail={"id": identifier})
    say(f"token {identifier} of {person} is revoked")


def people(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the people, with their weights and quotas."""
    from sweeper.service.state import accounts

    keys = ("name", "weight", "max_parallel", "max_gpus", "gpu_hours_month")
    with _database(Home.at(home)) as database, database.reading() as session:
        found = [{key: getattr(one, key) for key in keys} for one in accounts.people(session)]
    if json:
        print_json(found)
        return
    rows = [tuple("-" if one[key] is None else one[key] for key in keys) for one in found]
    print_table(("person", "weight", "trials at once", "GPUs", "GPU hours per month"), rows)


@contextmanager
def _database(home: Home, *, create: bool = False) -> Iterator[Database]:
    """The service's database, brought to what this version needs.

    Raises:
        UserError: there is none yet, and `create` does not ask for one.
    """
    try:
        from sweeper.service.settings import database_url
        from sweeper.service.state.database import Database
    except ModuleNotFoundError as error:
        told = f"{error.name} is not installed: pip install 'gan-sweeper[service]'"
        raise UserError(told) from error

    database = Database(database_url(home))
    file = database.file
    if file is not None and not file.exists() and not create:
        raise UserError(
            f"there is no service in {home.path} yet: `sweeper serve{home.flag}` starts one, "
            f"`sweeper token new PERSON --scope admin{home.flag}` makes the first token"
        )
    with private(home.path):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        try:
            database.upgrade()
            yield database
        finally:
            database.close()


def _state(revoked: float | None, expires: float | None) -> str:
    if revoked is not None:
        return f"revoked {_day(revoked)}"
    if expires is None:
        return "lasts"
    return f"{'ended' if expires < time.time() else 'until'} {_day(expires)}"


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
