"""All of /api/v1, and its OpenAPI document."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, Response

from sweeper.service.api import (
    caching,
    cluster,
    events,
    files,
    logs,
    notices,
    people,
    records,
    results,
    sweeps,
    trials,
)
from sweeper.service.api.routing import API, PROBLEM
from sweeper.service.app import Service
from sweeper.service.problem import MEDIA_TYPE, ProblemDetails

OPENINGS = files.OPENINGS

_PARTS: tuple[Callable[[FastAPI], None], ...] = (
    caching.install,
    sweeps.install,
    trials.install,
    results.install,
    files.install,
    records.install,
    logs.install,
    events.install,
    cluster.install,
    people.install,
    notices.install,
)

_EVERYWHERE = {
    "401": "No token, or none that opens anything.",
    "403": "The token may not do this.",
    "413": "The body is too large.",
    "421": "The server goes by another name than Host says.",
    "422": "Something about the request is wrong; `problems` says what and where.",
    "429": "Too many wrong tokens from this address.",
    "503": "Something that this needs cannot be reached now.",
}
_NAMED = {"404": "There is none of this name or number."}

_WITH_BODY = {"400": "The body is not what its Content-Type says.", "408": "It stopped coming."}

_DESCRIPTION = """\
Sweeps of GAN trainings, for several people on one cluster.

Every request carries `Authorization: Bearer TOKEN`. Errors are problem details (RFC 9457); those
of a sweep file have its line numbers. Times are Unix seconds. What is no finite number is null.
Lists are had by the page: `next` of one is the `cursor` of the page after it.
"""


def install(app: FastAPI, service: Service) -> None:
    """Add the API to the application."""
    for add in _PARTS:
        add(app)
    making = threading.Lock()

    def openapi() -> Response:
        """In a thread, as any route that is not `async`: it takes a second the first time."""
        with making:
            return JSONResponse(_document(app))

    app.add_api_route(f"{API}/openapi.json", openapi, methods=["GET"], include_in_schema=False)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version="1",
            description=_DESCRIPTION,
            routes=app.routes,
            servers=[{"url": "/"}],
        )
        schemas = document["components"]["schemas"]
        problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {})
        schemas["ProblemDetails"] = problem
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"] |= _problems(path, "requestBody" in operation)
        app.openapi_schema = document
    return app.openapi_schema


def _problems(path: str, has_body: bool) -> dict[str, Any]:
    told = _EVERYWHERE | (_NAMED if "{" in path else {}) | (_WITH_BODY if has_body else {})
    return {
        status: {"description": words, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
        for status, words in told.items()
    }
