"""A configuration of one's own: what a sweep is to run beside what its sampler proposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from sweeper.errors import SpecError, UserError
from sweeper.service.actions import orders
from sweeper.service.actions.looking import entry_named, trial_of
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages import addresses
from sweeper.service.pages.forms import unix
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller, check_change
from sweeper.service.problem import Fault, fault_of
from sweeper.service.state.sweeps import Entry
from sweeper.sweepfile.document import read_document, write_document
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import base_draw
from sweeper.wording import setting

router = new_router()

FILE = "configuration"
"""What problems call the text."""

SHOWN = 20
"""The last configurations that were enqueued, and what became of them."""


@router.get("/sweeps/{name}/enqueue")
def ask(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    trial: int | None = None,
) -> Response:
    """The form, with the settings of a trial, or else of the base."""
    entry = entry_named(service, name)
    check_change(caller, entry)
    sweep = sweep_from_dict(entry.sweep.spec)
    if trial is not None:
        values = trial_of(service, entry, trial).values
    else:
        values = base_draw(sweep).values
    known = {p.path: values[p.path] for p in sweep.parameters if p.path in values}
    return _form(request, service, entry, sweep, write_document(known) if known else "")


@router.post("/sweeps/{name}/enqueue")
def enqueue(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    text: Annotated[str, Form()] = "",
) -> Response:
    """Have it run; or say what is wrong, with the text as it was."""
    entry = entry_named(service, name)
    try:
        orders.enqueue(service, caller, name, _values(text))
    except UserError as error:
        problems = [fault_of(problem) for problem in error.problems]
        problems = problems or [Fault(where="", what=error.message)]
        sweep = sweep_from_dict(entry.sweep.spec)
        return _form(request, service, entry, sweep, text, problems, status=422)
    return RedirectResponse(f"{addresses.sweep(entry.sweep.name)}/enqueue", 303)


def _values(text: str) -> Mapping[str, Any]:
    """The settings that a text has, by path.

    Raises:
        SpecError: it is not a mapping.
    """
    document = read_document(unix(text), FILE)
    if document.readable and not isinstance(document.root or {}, Mapping):
        document.add((), "is not a mapping", "one setting per line, as `batch_size: 32`")
    if document.problems:
        raise SpecError(document.in_file_order())
    return {str(path): value for path, value in (document.root or {}).items()}


def _form(
    request: Request,
    service: Service,
    entry: Entry,
    sweep: Sweep,
    text: str,
    problems: list[Fault] | None = None,
    *,
    status: int = 200,
) -> Response:
    asked = [one for one in orders.orders_of(service, entry.sweep.id)[1] if one.kind == "enqueue"]
    return page(
        request,
        "sweep/enqueue.html",
        status=status,
        entry=entry,
        text=text,
        problems=problems or [],
        domains=[(parameter.path, _domain(parameter)) for parameter in sweep.parameters],
        asked=asked[: -SHOWN - 1 : -1],
        ablation=sweep.is_ablation,
    )


def _domain(parameter: Parameter) -> str:
    """What a setting may be, in the words of sweep files."""
    told = parameter.domain.as_dict() | ({"when": parameter.when} if parameter.when else {})
    return ", ".join(f"{word}: {_in_words(value)}" for word, value in told.items())


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " and ".join(f"{path} is {_in_words(inner)}" for path, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value))
    return setting(value)
