"""The buttons: what is asked of sweeps and of trials. Each leads back to the page it stands on."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form
from starlette.responses import RedirectResponse, Response

from sweeper.service.actions import changing, deleting, orders
from sweeper.service.api.routing import SweepName, TrialNumber
from sweeper.service.api.shape import Text
from sweeper.service.app import CurrentService
from sweeper.service.pages import addresses
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller

router = new_router()


@router.post("/sweeps/{name}/resume")
def resume(service: CurrentService, caller: CurrentCaller, name: SweepName) -> Response:
    """Have a sweep go on."""
    changing.resume(service, caller, name)
    return _to_sweep(name)


@router.post("/sweeps/{name}/delete")
def delete(service: CurrentService, caller: CurrentCaller, name: SweepName) -> Response:
    """Delete a sweep with all that it has left."""
    deleting.delete(service, caller, name)
    return RedirectResponse("/", 303)


@router.post("/sweeps/{name}/{wanted}")
def want(
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    wanted: Literal["pause", "stop", "cancel"],
) -> Response:
    """Pause, stop or cancel a sweep."""
    changing.want(service, caller, name, wanted)
    return _to_sweep(name)


@router.post("/sweeps/{name}/trials/{number}/stop")
def stop_trial(
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    number: TrialNumber,
    reason: Annotated[Text, Form(max_length=500)] = "",
) -> Response:
    """Stop a trial."""
    orders.stop_trial(service, caller, name, number, reason or f"stopped by {caller.person.name}")
    return RedirectResponse(addresses.trial(name, number), 303)


@router.post("/sweeps/{name}/trials/{number}/retry")
def retry_trial(
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    number: TrialNumber,
    anew: bool = False,
) -> Response:
    """Try a failed trial again."""
    orders.retry_trial(service, caller, name, number, anew=anew)
    return RedirectResponse(addresses.trial(name, number), 303)


def _to_sweep(name: str) -> Response:
    return RedirectResponse(addresses.sweep(name), 303)
