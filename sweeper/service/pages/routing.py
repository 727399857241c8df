"""What the pages' routers share, and what a browser sees of what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response

from sweeper.service.api.routing import API, clean
from sweeper.service.pages.rendering import is_piece, page
from sweeper.service.problem import MEDIA_TYPE, Refusal, problem_response

KIND = "x-problem"
"""The header that says to a script which problem a page, or its piece, tells of."""

Handler = Callable[[Request, Exception], Response | Awaitable[Response]]


def router() -> APIRouter:
    """A router of pages: in no OpenAPI document, and no parameter with what no text has."""
    return APIRouter(include_in_schema=False, dependencies=[Depends(clean)])


def show_problems(app: FastAPI) -> None:
    """Have browsers see what goes wrong as a page, or in the piece of one that they asked for;
    other clients get problem details as before."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _as_page(handler))


async def seen(request: Request, refusal: Refusal) -> Response:
    """What somebody sees of a refusal that no route has made."""
    return await _as_page(_details)(request, refusal)


def _details(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return problem_response(error, request.scope["path"])


def _as_page(handler: Handler) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def shown(request: Request, error: Exception) -> Response:
        answer = handler(request, error)
        if not isinstance(answer, Response):
            answer = await answer
        if answer.media_type != MEDIA_TYPE:  # as where a browser has it already
            return answer
        in_a_browser = "text/html" in request.headers.get("accept", "")
        if not in_a_browser or request.url.path.startswith(f"{API}/"):
            return answer
        details: dict[str, Any] = json.loads(bytes(answer.body))
        template = "problem_piece.html" if is_piece(request) else "problem.html"
        told = page(request, template, status=answer.status_code, problem=details)
        told.headers[KIND] = details["type"]
        return told

    return shown
