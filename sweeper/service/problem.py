"""What is wrong with a request, as problem details (RFC 9457), also outside the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from sweeper.errors import (
    ProtocolChanged,
    SpecConflict,
    SpecError,
    SweepBusy,
    SweeperError,
    UnknownSweep,
    UserError,
)
from sweeper.secrets import redacted
from sweeper.service.faults import Fault as Fault
from sweeper.service.faults import ProblemDetails as ProblemDetails
from trials.problems import Problem

MEDIA_TYPE = "application/problem+json"

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_STATUS: tuple[tuple[type[SweeperError], int, str], ...] = (
    (SpecError, 422, "invalid-sweep"),
    (UnknownSweep, 404, "unknown-sweep"),
    (SpecConflict, 409, "conflict"),
    (ProtocolChanged, 409, "protocol-changed"),
    (SweepBusy, 409, "busy"),
    (UserError, 422, "invalid"),
    (SweeperError, 503, "unavailable"),
)
"""What our own exceptions are over HTTP; the first that fits."""


class Refusal(HTTPException):
    """A request that is not carried out. `kind` is its name for programs.

    An exception of HTTP for FastAPI, which takes any other one that is raised while a body is read
    for a body that cannot be parsed.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str = "",
        *,
        problems: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        told = dict(headers or {})
        if status == 401:
            told["www-authenticate"] = "Bearer"
        super().__init__(status, title, told)
        self.details = ProblemDetails(
            type=f"/problems/{kind}",
            title=redacted(title),
            status=status,
            detail=redacted(detail),
            problems=list(problems),
        )


def problem_response(refusal: Refusal, path: str) -> Response:
    """The answer to a request that is refused."""
    details = refusal.details.model_copy(update={"instance": path})
    return JSONResponse(
        details.model_dump(), refusal.status_code, headers=refusal.headers, media_type=MEDIA_TYPE
    )


def refusal_of(error: SweeperError) -> Refusal:
    """What an exception of ours is to a client."""
    status, kind = next((s, k) for cls, s, k in _STATUS if isinstance(error, cls))
    if not isinstance(error, UserError):
        return Refusal(status, kind, str(error))
    return Refusal(status, kind, error.message, problems=map(fault_of, error.problems))


def fault_of(problem: Problem) -> Fault:
    """A problem of a file in the shape of the API."""
    return Fault(
        where=problem.path,
        what=problem.message,
        expected=problem.expected,
        nearest=problem.nearest,
        file=problem.file,
        line=problem.line,
    )


def install(app: FastAPI) -> None:
    """Have the application answer with problem details, whatever goes wrong."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(SweeperError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return problem_response(error, request.scope["path"])


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SweeperError)
    return problem_response(refusal_of(error), request.scope["path"])


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(detail) for detail in error.errors()]
    title = "The request is not what is expected here."
    return problem_response(Refusal(422, "invalid", title, problems=faults), request.scope["path"])


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "method"}.get(error.status_code, "http")
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:  # Starlette names those of the first route of this path alone
        headers["allow"] = ", ".join(_allowed(request))
    refusal = Refusal(error.status_code, kind, str(error.detail), headers=headers)
    return problem_response(refusal, request.scope["path"])


def _allowed(request: Request) -> list[str]:
    """The methods that a path takes."""
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    allowed = [
        method
        for method, scope in scopes.items()
        if any(route.matches(dict(scope))[0] is Match.FULL for route in routes)
    ]
    return [*allowed, "HEAD"] if "GET" in allowed else allowed  # see `heads`


async def _on_fault(request: Request, error: Exception) -> Response:
    # The traceback is in the server's log; a client has no use for it.
    title = "The server has failed at this; its log says how."
    return problem_response(Refusal(500, "fault", title), request.scope["path"])


def _fault(detail: Mapping[str, Any]) -> Fault:
    place = [str(piece) for piece in detail.get("loc", ()) if piece != "body"]
    return Fault(where=".".join(place) or "body", what=str(detail.get("msg", "")))
