"""Answers that a client has already: an entity tag says what they were made of."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request, Response

from sweeper.service.api.routing import NamedReading, Responses
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


def versioned(
    request: Request,
    response: Response,
    reading: NamedReading,
    if_none_match: Annotated[
        str | None,
        Header(description="The ETag of an earlier answer; 304 where it still holds."),
    ] = None,
) -> Reading:
    """What the study says, where the client does not have what follows from it.

    Raises:
        Unchanged: it does.
    """
    response.headers.update(check_tag(request, reading.version))
    return reading


VersionedReading = Annotated[Reading, Depends(versioned)]
NOT_MODIFIED: Responses = {304: {"description": "The answer of the given ETag still holds."}}


def install(app: FastAPI) -> None:
    """Have `Unchanged` answered."""
    app.add_exception_handler(Unchanged, _on_unchanged)


async def _on_unchanged(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unchanged)
    return Response(status_code=304, headers={"etag": error.tag, "cache-control": FRESH})
