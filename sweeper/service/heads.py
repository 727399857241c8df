"""HEAD, wherever GET is answered: the same headers by the same way, and no body (RFC 9110)."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """ASGI middleware: has HEAD answered as GET, up to the body. What is found `below` some paths
    knows by itself what to say."""

    def __init__(self, app: ASGIApp, below: tuple[str, ...] = ()) -> None:
        self._app = app
        self._below = below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["type"] == "http" and scope["method"] == "HEAD"
        if not head or (self._below and scope["path"].startswith(self._below)):
            await self._app(scope, receive, send)
            return
        begun = asyncio.Event()

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                begun.set()

        async def answered() -> None:
            await self._app({**scope, "method": "GET"}, receive, without_body)

        answer = asyncio.create_task(answered())
        told = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait((answer, told), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
        finally:  # nobody waits for the rest, which of a stream has no end
            for task in (answer, told):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
