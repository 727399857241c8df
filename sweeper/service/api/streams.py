"""Answers without an end, as server-sent events; and what they are where nobody asks for those."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

MEDIA_TYPE = "text/event-stream"

RETRY = 2000
"""Milliseconds after which a browser that was cut off comes back."""

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


def stream(content: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer to one. Proxies are asked to pass on what comes as it comes."""

    async def opened() -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RETRY)
        async for piece in content:
            yield piece

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(opened(), media_type=MEDIA_TYPE, headers=headers)
