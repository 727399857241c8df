"""The first page: every sweep, what it is doing, and why it waits."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import Query, Request
from starlette.responses import HTMLResponse, Response

from sweeper.service.actions.looking import entry_named, reading_of
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService
from sweeper.service.pages import drawing
from sweeper.service.pages.rendering import is_piece, page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state import listing
from sweeper.service.state.listing import Wish
from sweeper.service.states import ENDS, SweepState

router = new_router()

SHOWN = 100
"""Sweeps on one page."""

STATES = {
    "": "all",
    "active": "running or waiting",
    "queued": "waiting",
    "running": "running",
    "paused": "paused",
    "ended": "ended",
    "failed": "failed",
}
"""What the list can be narrowed to, and how that is called."""


@router.get("/")
def list_sweeps(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    q: Annotated[str, Query(max_length=200)] = "",
    state: str = "",
    mine: bool = False,
    first: int = 0,
) -> Response:
    """Every sweep, newest first: those that fit the filter."""
    wish = Wish(_states(state), caller.person.name if mine else "", q)
    with service.database.reading() as session:
        found = listing.count(session, wish)
        first = max(first, 0)
        if first >= found:  # the last page is gone since it was looked at
            first = max(0, (found - 1) // SHOWN * SHOWN)
        entries = listing.listed(session, wish, skip=first, limit=SHOWN)
        total = listing.count(session, Wish())
        counts = {
            "running": listing.count(session, Wish(("starting", "running"))),
            "waiting": listing.count(session, Wish(("queued",))),
            "at_work": listing.at_work(session),
        }
    return page(
        request,
        "sweeps_table.html" if is_piece(request) else "sweeps.html",
        entries=entries,
        first=first,
        shown=SHOWN,
        found=found,
        total=total,
        counts=counts,
        q=q,
        chosen=state,
        states=STATES,
        mine=mine,
    )


@router.get("/sweeps/{name}/spark")
def spark(service: CurrentService, name: SweepName) -> Response:
    """The best value so far as a line, for the list."""
    standings = reading_of(service, entry_named(service, name)).standings
    values = [standings.scores[trial.number] for trial in standings.finished]
    return HTMLResponse(drawing.spark(values, standings.goal))


def _states(chosen: str) -> tuple[str, ...]:
    """The states that one of `STATES` stands for; one that is unknown stands for itself."""
    if chosen in ("active", "ended"):
        every = get_args(SweepState)
        return tuple(state for state in every if (state in ENDS) == (chosen == "ended"))
    return (chosen,) if chosen else ()
