"""Submitting a sweep: an editor that is told at once what is wrong, and things to start from."""

from __future__ import annotations

import itertools
import re
import uuid
from typing import Annotated, Any, get_args

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from sweeper.errors import SpecError, UserError
from sweeper.service.actions import checking, submitting
from sweeper.service.actions.submitting import Submission
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages import addresses
from sweeper.service.pages.forms import unix
from sweeper.service.pages.rendering import is_piece, page, piece
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.problem import Fault, Refusal, fault_of, refusal_of
from sweeper.service.state import submissions, sweeps
from sweeper.service.state.tables import Priority
from trials import presets

router = new_router()

PRIORITIES = get_args(Priority)

_NAME = re.compile(r"""^("?name"?:\s*["']?)([\w.-]+)""", re.MULTILINE)

PREVIEWED = 5
"""Configurations that a preview shows."""


@router.get("/new")
def new(
    request: Request,
    service: CurrentService,
    sweep: str = "",
    trial: int | None = None,
    preset: str = "",
) -> Response:
    """The editor, with something to start from."""
    if sweep:
        text = _renamed(service, submitting.file_of(service, sweep, trial))
    else:
        start = piece("new/start.yaml", preset=preset if preset in presets.names() else "")
        text = f"{start}\n"
    return _editor(request, service, text)


@router.post("/new")
def submit(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    text: Annotated[str, Form()] = "",
    priority: Annotated[Priority, Form()] = "normal",
    key: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Put the sweep into the queue; or say what is wrong, with the text as it was."""
    given = Submission(unix(text), priority=priority)
    # Pressed twice it is one request; gone back to, and submitted with another text, another one.
    once = submissions.digest(key, given.digest) if key else None
    try:
        done = submitting.submit(service, caller, given, once)
    except UserError as error:
        return _editor(request, service, given.text, refusal_of(error), priority=priority)
    return RedirectResponse(addresses.sweep(done.answer["name"]), 303)


@router.post("/new/check")
def check(request: Request, service: CurrentService, text: Annotated[str, Form()] = "") -> Response:
    """What is wrong with the text, or how much it would run."""
    checked = checking.validate(service, unix(text))
    problems = [fault_of(problem) for problem in checked.problems]
    return page(request, "new/checked.html", problems=problems, overview=checked.overview)


@router.get("/new/preview")
def previewed() -> Response:
    """Who had to sign in on a preview's page goes on in the editor: the file is not sent again."""
    return RedirectResponse("/new", 303)


@router.post("/new/preview")
def preview(
    request: Request, service: CurrentService, text: Annotated[str, Form()] = ""
) -> Response:
    """The first configurations, and a forecast from a short training on the server's machine."""
    problems: list[Fault] = []
    overview: dict[str, Any] = {}
    try:
        overview = checking.preview(service, unix(text), count=PREVIEWED, probe=True)
    except SpecError as error:
        problems = [fault_of(problem) for problem in error.problems]
    template = "new/preview.html" if is_piece(request) else "new/previewed.html"
    return page(request, template, problems=problems, overview=overview, text=text)


def _editor(
    request: Request,
    service: CurrentService,
    text: str,
    refused: Refusal | None = None,
    *,
    priority: str = "normal",
) -> Response:
    """The editor; after a submission that was refused, with what is wrong."""
    problems = refused.details.problems if refused else []
    with service.database.reading() as session:
        names = sweeps.names(session)
    return page(
        request,
        "new.html",
        status=refused.status_code if refused else 200,
        text=text,
        problem=refused.details.title if refused and not problems else "",
        problems=problems,
        presets=presets.names(),
        names=names,
        priority=priority,
        priorities=PRIORITIES,
        key=uuid.uuid4().hex,
    )


def _renamed(service: Service, text: str) -> str:
    """The file under a name that is free: `quickstart-2`."""
    with service.database.reading() as session:
        taken = set(sweeps.names(session))
    named = _NAME.search(text)
    if named is None:
        return text
    stem = re.sub(r"-\d+$", "", named[2])
    free = next(name for n in itertools.count(2) if (name := f"{stem}-{n}") not in taken)
    return text[: named.start(2)] + free + text[named.end(2) :]
