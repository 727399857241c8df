"""The first page: every sweep, what it is doing, and why it waits."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from sweeper.service.actions.looking import entry_named, reading_of
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService
from sweeper.service.pages import drawing
from sweeper.service.pages.rendering import is_piece, page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state import sweeps
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import ENDS

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
    q: str = "",
    state: str = "",
    mine: bool = False,
    first: int = 0,
) -> Response:
    """Every sweep, newest first: those that fit the filter."""
    with service.database.reading() as session:
        entries = sweeps.entries(session)
    fitting = [
        entry
        for entry in entries
        if _fits(entry, q, state) and (not mine or entry.owner.id == caller.person.id)
    ]
    first = min(max(first, 0), len(fitting))
    return page(
        request,
        "sweeps_table.html" if is_piece(request) else "sweeps.html",
        entries=fitting[first : first + SHOWN],
        first=first,
        shown=SHOWN,
        found=len(fitting),
        total=len(entries),
        counts=_counts(entries),
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


def _fits(entry: Entry, words: str, state: str) -> bool:
    text = f"{entry.sweep.name} {entry.owner.name} {entry.sweep.description}".casefold()
    if not all(word in text for word in words.casefold().split()):
        return False
    if state in ("active", "ended"):
        return (entry.lease.state in ENDS) == (state == "ended")
    return not state or entry.lease.state == state


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    running = sum(entry.lease.state in ("starting", "running") for entry in entries)
    waiting = sum(entry.lease.state == "queued" for entry in entries)
    at_work = sum(entry.driver.at_work for entry in entries if entry.driver and not entry.over)
    return {"running": running, "waiting": waiting, "at_work": at_work}
