"""The log of a trial: its end, and what is added to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from sweeper.errors import SweeperError
from sweeper.service.actions import logs as actions
from sweeper.service.actions.logs import Lines, log_of
from sweeper.service.api.routing import NamedEntry, NamedReading, NamedTrial, Responses, router
from sweeper.service.api.streams import STREAM, LastSeen, stream, wants_stream
from sweeper.service.app import CurrentService, Service
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.readings import Reading
from sweeper.service.state import accounts
from sweeper.service.state.accounts import Caller
from sweeper.trial import Trial

logs = router("trials")

EVERY = 0.5
"""Seconds between two looks at a log that is followed."""

HEARTBEAT = 10.0
"""Seconds between two looks at whether its follower may still follow; then it is told that the
server is there."""

_CONTENT: Responses = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}}, **STREAM},
        "description": "Its last lines, or a stream to who accepts one: an event a line, and one "
        "called `end` when the trial is over.",
    }
}


@logs.get(
    "/sweeps/{name:part}/trials/{number:part}/log",
    response_class=PlainTextResponse,
    responses=_CONTENT,
)
async def get_log(
    request: Request,
    entry: NamedEntry,
    trial: NamedTrial,
    reading: NamedReading,
    service: CurrentService,
    caller: CurrentCaller,
    tail: Annotated[int, Query(ge=0, le=100_000, description="How many lines.")] = 200,
    last_seen: LastSeen = None,
) -> Response:
    """Take out the end of a trial's log; with `Accept: text/event-stream`, follow it."""
    log = log_of(reading.folder, trial.number)
    if not wants_stream(request):
        lines = (await run_in_threadpool(actions.tail, log, tail)).lines
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    async def told() -> AsyncIterator[bytes]:
        begin = Lines(after=last_seen or 0)
        if last_seen is None:
            begin = await run_in_threadpool(actions.tail, log, tail, whole=False)
        for event in _encoded(begin):
            yield event
        async for event in _followed(service, caller, reading, trial, begin.after):
            yield event

    return stream(service, caller, told())


def install(app: FastAPI) -> None:
    """Add the route."""
    app.include_router(logs)


async def _followed(
    service: Service, caller: Caller, reading: Reading, trial: Trial, after: int
) -> AsyncIterator[bytes]:
    """What is added to a log after a place, until the trial is over, the token is revoked or the
    server ends."""
    log, number = log_of(reading.folder, trial.number), trial.number
    over, clock = trial.over, asyncio.get_running_loop().time
    looked = clock()
    while not service.ending.is_set():
        if clock() - looked > HEARTBEAT:
            looked = clock()
            if not await run_in_threadpool(_may_go_on, service, caller):
                return
            yield format_sse_event(comment="the server is there")
        found = await run_in_threadpool(actions.further, log, after, whole=over)
        after = found.after
        for event in _encoded(found):
            yield event
        if found.lines:
            continue
        if over:
            yield format_sse_event(event="end", data_str="{}", id=str(after))
            return
        await asyncio.sleep(EVERY)
        over = await run_in_threadpool(_is_over, service, reading.folder.name, number)


def _encoded(found: Lines) -> list[bytes]:
    return [
        format_sse_event(data_str=line, id=str(end))
        for line, end in zip(found.lines, found.ends, strict=True)
    ]


def _is_over(service: Service, name: str, number: int) -> bool:
    try:
        now = service.readings.of(name).by_number
    except SweeperError:  # it was deleted meanwhile
        return True
    return number not in now or now[number].over


def _may_go_on(service: Service, caller: Caller) -> bool:
    with service.database.reading() as session:
        return bool(accounts.valid_tokens(session, {caller.token.id}))
