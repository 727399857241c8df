"""Verbs that choose a server for all others: login, logout."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from sweeper.cli.printing import say


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(login)
    app.command()(logout)


def login(
    address: Annotated[
        str,
        typer.Argument(help="Address of the service, such as https://sweeps.lab.", metavar="URL"),
    ],
) -> None:
    """Sign in to a sweep service, which the other verbs then use.

    The token is read from $SWEEPER_TOKEN, a prompt or standard input, and kept in a file that only
    the user can read.
    """
    from sweeper.client import Client
    from sweeper.client.login import Login, checked_address, checked_token, write_login

    there = checked_address(address)
    chosen = Login(there, checked_token(_token(there)))
    with Client(chosen.address, chosen.token, patience=0) as client:
        me = client.people.me()
    if chosen.is_exposed:
        say(
            f"warning: {there} is not encrypted: anyone on the network path can read the token",
            err=True,
        )
    kept = write_login(chosen)
    say(f"signed in to {there} as {me.person.name}, to {me.token.scope}; it is kept in {kept}")
    say("`sweeper run`, `ls`, `status` and similar commands now use it; `--home DIR` uses a folder")


def logout() -> None:
    """Forget the server and the token of `login`.

    The token stays valid: `sweeper token revoke` or the web page revokes it.
    """
    from sweeper.client.login import login_file, remove_login

    say(f"removed {login_file()}" if remove_login() else "not signed in")


def _token(address: str) -> str:
    from sweeper.client.login import TOKEN_VARIABLE

    if given := os.environ.get(TOKEN_VARIABLE):
        return given
    if sys.stdin.isatty():
        return str(typer.prompt(f"token for {address}", hide_input=True, err=True))
    return sys.stdin.readline()
