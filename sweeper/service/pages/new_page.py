"""Submitting a sweep: an editor that is told at once what is wrong, and things to start from."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, get_args

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from sweeper.errors import SpecError
from sweeper.service.actions import drafts, submitting
from sweeper.service.actions.submitting import Submission
from sweeper.service.app import CurrentService
from sweeper.service.pages import addresses
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.problem import Fault, fault_of
from sweeper.service.state import sweeps
from sweeper.service.state.tables import Priority
from sweeper.sweepfile.document import write_document

router = new_router()

PRIORITIES = get_args(Priority)

_START: dict[str, Any] = {
    "name": "my-sweep",
    "description": "What it is for",
    "base": {"data": {"name": "digits"}, "steps": 800},
    "parameters": {
        "optimizer.generator.lr": {"distribution": "log_uniform", "min": 2.0e-4, "max": 1.0e-2},
        "optimizer.discriminator.lr": {"distribution": "log_uniform", "min": 2.0e-4, "max": 1.0e-2},
        "loss": {"values": ["non_saturating", "hinge", "lsgan"]},
        "tricks.ema": {"toggle": True, "knobs": "default"},
        "tricks.spectral_norm": {"toggle": True},
    },
    "objective": {"metric": "fid", "goal": "minimize"},
    "search": {"sampler": "tpe", "seed": 0},
    "scheduler": {"name": "asha", "grace_steps": 200, "reduction_factor": 2},
    "seeds": {"confirm_top": 1, "replicates": 3},
    "limits": {"trials": 20, "parallel": 2},
}
"""A small search that is valid as it stands."""


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
        text = submitting.file_of(service, sweep, trial)
    elif preset:
        text = write_document(_START | _of_preset(preset))
    else:
        text = write_document(_START)
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
    given = Submission(_unix(text), priority=priority)
    try:
        done = submitting.submit(service, caller, given, key or None)
    except SpecError as error:
        problems = [fault_of(problem) for problem in error.problems]
        return _editor(request, service, given.text, problems, priority=priority, status=422)
    return RedirectResponse(addresses.sweep(done.answer["name"]), 303)


@router.post("/new/check")
def check(request: Request, service: CurrentService, text: Annotated[str, Form()] = "") -> Response:
    """What is wrong with the text, or what it would run."""
    problems: list[Fault] = []
    sweep = None
    try:
        sweep = drafts.read_draft(service, _unix(text))
    except SpecError as error:
        problems = [fault_of(problem) for problem in error.problems]
    return page(request, "new/checked.html", problems=problems, sweep=sweep)


def _editor(
    request: Request,
    service: CurrentService,
    text: str,
    problems: list[Fault] | None = None,
    *,
    priority: str = "normal",
    status: int = 200,
) -> Response:
    from trials import presets

    with service.database.reading() as session:
        names = [entry.sweep.name for entry in sweeps.entries(session)]
    return page(
        request,
        "new.html",
        status=status,
        text=text,
        problems=problems or [],
        presets=presets.names(),
        names=names[:200],
        priority=priority,
        priorities=PRIORITIES,
        key=uuid.uuid4().hex,
    )


def _of_preset(name: str) -> dict[str, Any]:
    """What a file says that begins with a paper's configuration: its rates are searched."""
    rates = {key: domain for key, domain in _START["parameters"].items() if key.endswith(".lr")}
    base = {"preset": name, "data": {"name": "digits"}, "steps": 800}
    return {"name": f"my-{name}", "base": base, "parameters": rates}


def _unix(text: str) -> str:
    """The lines as the reader had them: a form's come with carriage returns."""
    return text.replace("\r\n", "\n")
