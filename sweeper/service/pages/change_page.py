"""The form that gives a sweep other limits, another priority, another description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from sweeper.errors import SpecError
from sweeper.service.actions import changing
from sweeper.service.actions.changing import Changes
from sweeper.service.actions.looking import entry_named
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService
from sweeper.service.pages import addresses
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller, check_change
from sweeper.service.problem import Fault, fault_of
from sweeper.service.state.tables import Priority
from sweeper.sweepfile.sections import Limits

router = new_router()

PRIORITIES = get_args(Priority)


class Field(NamedTuple):
    """A limit as the form asks for it: a number, or one of some words."""

    key: str
    words: str
    value: Any
    choices: tuple[str, ...] = ()


async def _form(request: Request) -> FormData:
    return await request.form()


@router.get("/sweeps/{name}/change")
def ask(
    request: Request, service: CurrentService, caller: CurrentCaller, name: SweepName
) -> Response:
    """The form."""
    entry = entry_named(service, name)
    check_change(caller, entry)
    fields = _fields(entry.sweep.spec.get("limits", {}))
    return page(
        request,
        "sweep/change.html",
        entry=entry,
        fields=fields,
        description=entry.sweep.description,
        priority=entry.sweep.priority,
        priorities=PRIORITIES,
        problems=[],
    )


@router.post("/sweeps/{name}/change")
def change(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    form: Annotated[FormData, Depends(_form)],
) -> Response:
    """Carry it out; with `again`, a sweep that had ended goes on."""
    entry = entry_named(service, name)
    before = entry.sweep.spec.get("limits", {})
    limits = _limits(form)
    changed = {key: value for key, value in limits.items() if value != before.get(key)}
    priority = str(form.get("priority", entry.sweep.priority))
    description = str(form.get("description", "")).strip()
    problems: list[Fault] = []
    if priority not in PRIORITIES:
        problems = [
            Fault(where="priority", what=f"is {priority!r}", expected=", ".join(PRIORITIES))
        ]
    try:
        if not problems:
            given = None if form.get("again") else changed or None
            if form.get("again") and changed:
                changing.extend(service, caller, name, changed)
            elif form.get("again"):
                changing.resume(service, caller, name)
            changing.change(service, caller, name, Changes(given, priority, description))  # type: ignore[arg-type]
            return RedirectResponse(addresses.sweep(entry.sweep.name), 303)
    except SpecError as error:
        problems = [fault_of(problem) for problem in error.problems]
    return page(
        request,
        "sweep/change.html",
        status=422,
        entry=entry,
        fields=_fields(limits),
        description=description,
        priority=priority,
        priorities=PRIORITIES,
        problems=problems,
    )


def _fields(limits: Mapping[str, Any]) -> list[Field]:
    """The limits that a sweep file can have, as it says them itself."""
    return [
        Field(
            key,
            key.replace("_", " "),
            limits.get(key, field.default if key == "parallel" else None),
            get_args(field.annotation) if get_origin(field.annotation) is Literal else (),
        )
        for key, field in Limits.model_fields.items()
    ]


def _limits(form: FormData) -> dict[str, Any]:
    """What the form says of limits; an empty field is none."""
    given = {key: str(form[key]).strip() for key in Limits.model_fields if key in form}
    return {key: _value(text) for key, text in given.items()}


def _value(text: str) -> Any:
    """A number where it is one; else the text, of which the sweep file's reader will complain."""
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
