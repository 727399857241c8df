"""Requests whose body is a sweep file, in YAML or in JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from sweeper.service.actions import drafts
from sweeper.service.api.routing import problems
from sweeper.service.problem import Refusal
from sweeper.sweepfile.document import write_document

YAML = "application/yaml"
_YAML = (YAML, "application/x-yaml", "text/yaml", "text/x-yaml")
_JSON = "application/json"
_EXAMPLE = {
    "name": "quickstart",
    "base": {"data": {"name": "digits"}, "steps": 1500},
    "parameters": {
        "optimizer.generator.lr": {"distribution": "log_uniform", "min": 1.0e-5, "max": 1.0e-2}
    },
    "limits": {"trials": 20},
}


def _body(yaml: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "description": "A sweep file; `/api/v1/schema` has the schema of the whole.",
            "content": {
                _JSON: {"schema": {"type": "object"}, "example": _EXAMPLE},
                YAML: {"schema": yaml, "example": write_document(_EXAMPLE)},
            },
        }
    }


FILE_BODY = _body({"type": "object"})
"""How OpenAPI tells of a body that is a sweep file."""

ANY_TEXT = _body({})
"""The same where any text will do, to be told what is wrong with it."""


async def file_text(request: Request) -> str:
    """The sweep file that a request brings, as text.

    Raises:
        Refusal: it says it is neither YAML nor JSON; status 415.
        SpecError: it is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON:
        return drafts.text_of_json(await request.body())
    if kind in _YAML:
        return drafts.text_of_yaml(await request.body())
    raise Refusal(
        415,
        "media-type",
        f"A sweep file comes as {_JSON} or {YAML}; Content-Type says {kind or 'nothing'}.",
    )


MEDIA_REFUSED = problems(s415="Neither YAML nor JSON.")
FileText = Annotated[str, Depends(file_text)]
