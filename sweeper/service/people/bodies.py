"""Bodies of requests: of bounded size, and in bounded time."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from sweeper.service.problem import Refusal

SLOWEST = 30.0
"""Seconds between two pieces of a body, after which its sender is given up."""

LONGEST = 60.0
"""Seconds for all of a body of bounded size: a write whose token is revoked while it is being sent
is at most so late."""


def too_large(limit: int) -> Refusal:
    """The answer to a body of more bytes than are read."""
    return Refusal(413, "too-large", f"A request may have {limit:,} bytes at most.")


def bounded(receive: Receive, headers: Headers, limit: int | None) -> Receive:
    """The same body, which raises where it is larger than `limit` bytes or stops coming.

    Raises:
        Refusal: its headers say at once that it is; or they say two things of where it ends, of
            which a proxy may have believed the other one.
    """
    length = headers.get("content-length", "")
    if length and "transfer-encoding" in headers:
        title = "A request has a Content-Length or a Transfer-Encoding, not both."
        raise Refusal(400, "two-lengths", title, headers={"connection": "close"})
    if limit is not None and length.isdigit() and int(length) > limit:
        raise too_large(limit)
    seen, done = 0, False
    begun: float | None = None

    async def checked() -> Message:
        nonlocal seen, done, begun
        if done:  # what is waited for now is the client's leaving
            return await receive()
        try:
            begun = time.monotonic() if begun is None else begun
            left = SLOWEST if limit is None else min(SLOWEST, begun + LONGEST - time.monotonic())
            message = await asyncio.wait_for(receive(), left)
        except TimeoutError as error:
            raise Refusal(408, "too-slow", "The rest of the request did not come.") from error
        seen += len(message.get("body", b""))
        done = not message.get("more_body", False)
        if limit is not None and seen > limit:
            raise too_large(limit)
        return message

    return checked


async def whole(receive: Receive, limit: int) -> bytes:
    """All of a body.

    Raises:
        Refusal: it has more than `limit` bytes.
    """
    pieces: list[bytes] = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
        if sum(map(len, pieces)) > limit:
            raise too_large(limit)
    return b"".join(pieces)


def replayed(body: bytes, rest: Receive) -> Receive:
    """A body that was read already, for who reads it next."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await rest()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
