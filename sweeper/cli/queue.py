"""The verb `queue`: who runs and who waits on a server, and why."""

from __future__ import annotations

import time

import typer

from sweeper.cli.options import HomeOption, JsonOption, ServerOption, print_json
from sweeper.cli.printing import print_table, say
from sweeper.cli.source import server_meant
from sweeper.errors import UserError


def register(app: typer.Typer) -> None:
    """Add this group's verb."""
    app.command()(queue)


def queue(home: HomeOption = None, server: ServerOption = None, json: JsonOption = False) -> None:
    """Show what runs and what waits on a server, and why."""
    address = server_meant(home, server)
    if address is None:
        raise UserError(
            "only a server has a queue: name one with `sweeper login URL` or --server URL"
        )
    from sweeper.cli.remote import ServerSource

    with ServerSource.at(address) as source:
        places = source.client.cluster.queue()
    if json:
        print_json([place.model_dump() for place in places])
        return
    if not places:
        say(f"no sweep is running or waiting at {address}")
        return
    rows = [
        (
            "-" if place.place is None else place.place + 1,
            place.name,
            place.owner,
            place.priority,
            place.state,
            f"{place.at_work}/{place.parallel}",
            _about(place.expected),
            place.reason,
        )
        for place in places
    ]
    titles = ("place", "sweep", "owner", "priority", "state", "at work", "about", "why not more")
    print_table(titles, rows)


def _about(when: float | None) -> str:
    return "-" if when is None else time.strftime("%a %H:%M", time.localtime(when))
