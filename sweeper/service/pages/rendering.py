"""From a template and what it shows to an answer: every page, and every piece of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response, StreamingResponse

from sweeper.service.pages import addresses, navigation, words
from sweeper.service.people.guard import CSRF_FIELD
from sweeper.service.people.permission import caller_of
from sweeper.service.state.accounts import Caller
from sweeper.wording import visible

FLUSH = "\0flush\0"
"""What a template writes where a browser should be sent what there is before the rest is made."""

_BUFFER = 16_384


def _shown(value: Any) -> Any:
    """What `{{ … }}` writes: control characters spelt out, unless it is HTML of ours."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return "" if value is None else value
    return visible(value)


def environment() -> Environment:
    """The templates, with the words and numbers that they may use. What is not HTML of ours is
    escaped, and a name that a page was not given is an error."""
    made = Environment(
        loader=PackageLoader("sweeper.service.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    made.filters |= words.FILTERS
    made.globals |= {"flush": Markup(FLUSH), "links": navigation.LINKS, "address": addresses}
    return made


_TEMPLATES = environment()


def is_piece(request: Request) -> bool:
    """Whether htmx asks, for a piece of the page that it shows already."""
    return request.headers.get("hx-request") == "true"


def page(request: Request, template: str, *, status: int = 200, **content: Any) -> Response:
    """The page of this template, for whoever asks."""
    made = _TEMPLATES.get_template(template).render(**_context(request), **content)
    return HTMLResponse(made, status)


def streamed(request: Request, template: str, **content: Any) -> Response:
    """The same, sent piece by piece: what a template asks of `content` late is made late."""
    pieces = _TEMPLATES.get_template(template).generate(**_context(request), **content)
    return StreamingResponse(_chunks(pieces), media_type="text/html; charset=utf-8")


def piece(template: str, **content: Any) -> Markup:
    """A piece of a page."""
    return Markup(_TEMPLATES.get_template(template).render(**content))


def as_json(content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Numbers for a chart, as compact as they can be."""
    text = json.dumps(content, separators=(",", ":"), default=str, allow_nan=False)
    return Response(text, media_type="application/json", headers=headers)


def _context(request: Request) -> dict[str, Any]:
    """What every page needs: who looks at it, and where they are."""
    caller = caller_of(request) if hasattr(request.state, "caller") else None
    return {
        "caller": caller,
        "csrf": _csrf_field(caller),
        "here": request.url.path,
        "query": request.url.query,
    }


def _csrf_field(caller: Caller | None) -> Markup:
    """What every form of a signed-in browser carries."""
    if caller is None or caller.csrf is None:
        return Markup()
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, caller.csrf)


def _chunks(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces in larger ones; what was written before FLUSH goes out at once."""
    waiting: list[str] = []
    size = 0
    for one in pieces:
        before, flush, after = one.partition(FLUSH)
        waiting.append(before)
        size += len(before)
        if flush or size > _BUFFER:
            yield "".join(waiting)
            waiting, size = [after], len(after)
    yield "".join(waiting)
