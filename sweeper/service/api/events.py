"""What happened: by the page, and as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from sweeper.service.actions import looking
from sweeper.service.api.routing import Responses, problems, router
from sweeper.service.api.shapes_events import EventShape, EventsShape
from sweeper.service.api.streams import STREAM, LastSeen, stream, wants_stream
from sweeper.service.app import CurrentService, Service
from sweeper.service.events import Heard
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state import events as state

events = router("events")

_CONTENT: Responses = {
    200: {"content": STREAM, "description": "A page of them, or a stream to who accepts one."}
}


def _sweep_id(
    service: CurrentService,
    sweep: Annotated[
        str | None, Query(max_length=200, description="Only those of this sweep, by name or id.")
    ] = None,
) -> str | None:
    return looking.entry_named(service, sweep).sweep.id if sweep else None


@events.get(
    "/events",
    response_model=EventsShape,
    responses=_CONTENT | problems(s404="There is no such sweep."),
)
async def list_events(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    sweep_id: Annotated[str | None, Depends(_sweep_id)],
    after: Annotated[
        int | None,
        Query(ge=0, lt=1 << 53, description="Those after this number. A stream begins now else."),
    ] = None,
    last_seen: LastSeen = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most, by the page.")] = 100,
) -> Response | EventsShape:
    """List what happened; with `Accept: text/event-stream`, tell of it as it happens.

    Numbers have no gap over the whole server. Whoever was cut off goes on after the number seen
    last, and misses nothing.
    """
    after = after if last_seen is None else last_seen
    if not wants_stream(request):
        return await run_in_threadpool(_page, service, after or 0, sweep_id, limit)

    async def told() -> AsyncIterator[bytes]:
        async for heard in service.hub.listen(caller, after, sweep_id):
            yield _encoded(heard)

    return stream(service, caller, told())


def install(app: FastAPI) -> None:
    """Add the route."""
    app.include_router(events)


def _page(service: Service, after: int, sweep_id: str | None, limit: int) -> EventsShape:
    with service.database.reading() as session:
        # Read first: of one sweep there is none up to there that the list will not have.
        there = state.last_event(session)
        found = state.events_after(session, after, sweep_id, limit)
    last = max([after, found[-1].id if found else 0, there if len(found) < limit else 0])
    return EventsShape(events=[EventShape.of(event) for event in found], last=last)


def _encoded(heard: Heard) -> bytes:
    """An event, or a number without one: browsers remember it all the same."""
    data = None if heard.event is None else EventShape.of(heard.event).model_dump_json()
    return format_sse_event(data_str=data, id=str(heard.number))
