"""Answers without an end, as server-sent events; and what they are where nobody asks for those."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from sweeper.service.app import Service
from sweeper.service.problem import Refusal
from sweeper.service.state.accounts import Caller

MEDIA_TYPE = "text/event-stream"

RETRY = 2000
"""Milliseconds after which a browser that was cut off comes back."""

MOST = 100
"""Streams that one person may have open: each holds a connection, of which there are only so
many."""

LastSeen = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        lt=1 << 53,
        description="The id of the last one that was seen, as browsers send it on coming back; it "
        "goes before `after`.",
    ),
]
STREAM: dict[str, Any] = {MEDIA_TYPE: {"schema": {"type": "string"}}}


def wants_stream(request: Request) -> bool:
    """Whether a client asks for a stream, as every EventSource does."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def stream(service: Service, caller: Caller, content: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer to one. Proxies are asked to pass on what comes as it comes.

    Raises:
        Refusal: whoever asks has as many of them open as anybody may; status 429.
    """
    opened_by, person = service.streams, caller.person.id
    if opened_by[person] >= MOST:
        title = f"You have {MOST} streams open, and nobody may have more: close one first."
        raise Refusal(429, "too-many-streams", title, headers={"retry-after": "60"})

    async def opened() -> AsyncIterator[bytes]:
        opened_by[person] += 1
        try:
            yield format_sse_event(retry=RETRY)
            async for piece in content:
                yield piece
        finally:
            opened_by[person] -= 1

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(opened(), media_type=MEDIA_TYPE, headers=headers)
