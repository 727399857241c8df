"""The form that gives a sweep other limits, another priority, another description.

It carries what it was filled with, beside what became of that: only what its reader has changed is
changed, whatever others have done to the sweep meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from sweeper.errors import SpecError
from sweeper.service.actions import changing
from sweeper.service.actions.changing import Changes
from sweeper.service.actions.looking import entry_named
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages import addresses
from sweeper.service.pages.forms import unix
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller, check_change
from sweeper.service.problem import Fault, fault_of
from sweeper.service.state.accounts import Caller
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import Priority
from sweeper.sweepfile.sections import Limits
from sweeper.wording import visible

router = new_router()

PRIORITIES = get_args(Priority)

_ALWAYS = {
    key: str(field.default)
    for key, field in Limits.model_fields.items()
    if field.default is not None
}
"""Limits that every sweep has, and what they are where its file does not say."""

_FILLED = "was."
"""Before the name of a field: what it was filled with."""


class Field(NamedTuple):
    """A limit as the form asks for it: a text, or one of some words."""

    key: str
    words: str
    always: bool
    choices: tuple[str, ...]


FIELDS = tuple(
    Field(
        key,
        key.replace("_", " "),
        key in _ALWAYS,
        get_args(field.annotation) if get_origin(field.annotation) is Literal else (),
    )
    for key, field in Limits.model_fields.items()
)
"""The limits that a sweep file can have, as it says them itself."""


async def _form(request: Request) -> FormData:
    return await request.form()


@router.get("/sweeps/{name}/change")
def ask(
    request: Request, service: CurrentService, caller: CurrentCaller, name: SweepName
) -> Response:
    """The form."""
    entry = entry_named(service, name)
    check_change(caller, entry)
    return _page(request, entry, {})


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
    again = bool(form.get("again"))
    now = _texts(entry)
    was = {key: _sent(form, f"{_FILLED}{key}", now[key]) for key in now}
    wished = {key: text for key in now if (text := _sent(form, key, was[key])) != was[key]}
    problems = _problems(wished, was, now)
    try:
        if not problems:
            _carry_out(service, caller, name, wished, again)
            return RedirectResponse(addresses.sweep(entry.sweep.name), 303)
    except SpecError as error:
        problems = [fault_of(problem) for problem in error.problems]
    return _page(request, entry, wished, again=again, problems=problems, status=422)


def _carry_out(
    service: Service, caller: Caller, name: str, wished: Mapping[str, str], again: bool
) -> None:
    limits = {key: _value(wished[key]) for key in Limits.model_fields if key in wished}
    if again and limits:
        changing.extend(service, caller, name, limits)
    elif again:
        changing.resume(service, caller, name)
    given = None if again else limits or None
    changes = Changes(given, wished.get("priority"), wished.get("description"))  # type: ignore[arg-type]
    changing.change(service, caller, name, changes)


def _problems(
    wished: Mapping[str, str], was: Mapping[str, str], now: Mapping[str, str]
) -> list[Fault]:
    """What is wrong with these wishes, before the sweep file's reader sees them."""
    problems = []
    for key, text in wished.items():
        where = f"limits.{key}" if key in Limits.model_fields else key
        if now[key] not in (was[key], text):
            what = f"was changed meanwhile, to {now[key] or 'none'}"
            problems.append(Fault(where=where, what=what, expected="you to check it again"))
        elif key == "priority" and text not in PRIORITIES:
            problems.append(Fault(where=where, what=f"is {text!r}", expected=", ".join(PRIORITIES)))
        elif key in _ALWAYS and not text:
            default = f"a value; by default it is {_ALWAYS[key]}"
            problems.append(Fault(where=where, what="is empty", expected=default))
    return problems


def _page(
    request: Request,
    entry: Entry,
    wished: Mapping[str, str],
    *,
    again: bool = False,
    problems: Sequence[Fault] = (),
    status: int = 200,
) -> Response:
    """The form, filled with what the sweep has now, and with what is wished in its place."""
    now = _texts(entry)
    return page(
        request,
        "sweep/change.html",
        status=status,
        entry=entry,
        fields=FIELDS,
        filled=_FILLED,
        was=now,
        values={**now, **wished},
        priorities=PRIORITIES,
        again=again,
        problems=problems,
    )


def _texts(entry: Entry) -> dict[str, str]:
    """What a sweep has, as the fields of the form show it; an empty limit is none."""
    limits = {key: str(value) for key, value in entry.sweep.spec.get("limits", {}).items()}
    return {
        **{key: limits.get(key, _ALWAYS.get(key, "")) for key in Limits.model_fields},
        "priority": entry.sweep.priority,
        "description": visible(entry.sweep.description).strip(),
    }


def _sent(form: FormData, key: str, otherwise: str) -> str:
    return unix(str(form.get(key, otherwise))).strip()


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
