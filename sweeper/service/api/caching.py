"""Answers that follow from a sweep's study and the address alone: made once for each state of the
study, whoever asks, and not sent to a client that has them already.

    address ─▶ the study's reading ─▶ entity tag ─▶ 304, or the bytes made before, or the route

What the route sees is that reading, so that all numbers of an answer are of one state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.routing import APIRoute

from sweeper.service.api.routing import NamedReading, Responses, clean, found, router
from sweeper.service.app import Service
from sweeper.service.memo import Sent
from sweeper.service.readings import Reading

FRESH = "private, no-cache"
"""A browser may keep it, and asks each time whether it still holds."""


class Unchanged(Exception):  # noqa: N818 - what happened
    """The client has this answer already."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def tag_of(request: Request, version: str) -> str:
    """The entity tag of what this request asks for."""
    asked = f"{version}\n{request.url.path}?{request.url.query}"
    return f'W/"{hashlib.sha256(asked.encode()).hexdigest()[:32]}"'


def check_tag(request: Request, version: str) -> dict[str, str]:
    """Headers of an answer that is made of this version.

    Raises:
        Unchanged: the client has it.
    """
    tag = tag_of(request, version)
    given = request.headers.get("if-none-match", "")
    if tag in (one.strip() for one in given.split(",")):
        raise Unchanged(tag)
    return {"etag": tag, "cache-control": FRESH}


class VersionedRoute(APIRoute):
    """A route below `/sweeps/{name}` whose answer nothing but the study and the address decide."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            await clean(request)
            service: Service = request.app.state.service
            request.state.reading = reading = (await found(service, request.path_params["name"]))[1]
            headers = check_tag(request, reading.version)
            sent = await service.answers.of(headers["etag"], lambda: _made(make, request))
            return Response(sent.body, headers={**sent.headers, **headers})

        return answer


def versioned(tag: str) -> APIRouter:
    """A router of such routes."""
    return router(tag, route_class=VersionedRoute, responses=NOT_MODIFIED)


async def _made(make: Callable[[Request], Awaitable[Response]], request: Request) -> Sent:
    response = await make(request)
    return Sent(bytes(response.body), dict(response.headers))


def _versioned(
    reading: NamedReading,
    if_none_match: Annotated[
        str | None,
        Header(description="The ETag of an earlier answer; 304 where it still holds."),
    ] = None,
) -> Reading:
    return reading


VersionedReading = Annotated[Reading, Depends(_versioned)]
"""What the study said when it was asked whether the client has what follows from it."""

NOT_MODIFIED: Responses = {304: {"description": "The answer of the given ETag still holds."}}


def install(app: FastAPI) -> None:
    """Have `Unchanged` answered."""
    app.add_exception_handler(Unchanged, _on_unchanged)


async def _on_unchanged(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unchanged)
    return Response(status_code=304, headers={"etag": error.tag, "cache-control": FRESH})
