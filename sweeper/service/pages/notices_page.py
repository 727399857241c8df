"""Word to people: where one wants to be told, and of what."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from sweeper.errors import UserError
from sweeper.service.app import CurrentService, Service
from sweeper.service.notices import subscribing
from sweeper.service.notices.channels import channels_of
from sweeper.service.notices.occasions import OCCASIONS
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state.accounts import Caller

router = new_router()


@router.get("/notices")
def notices(request: Request, service: CurrentService, caller: CurrentCaller) -> Response:
    """One's own subscriptions."""
    return _page(request, service, caller)


@router.post("/notices")
def subscribe(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    kind: Annotated[str, Form()] = "",
    target: Annotated[str, Form()] = "",
    occasions: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
    everyone: Annotated[bool, Form()] = False,
) -> Response:
    """Send word somewhere from now on; the key of its signatures is on this answer alone."""
    try:
        _, secret = subscribing.subscribe(
            service,
            caller,
            kind=kind,
            target=target.strip(),
            occasions=occasions,
            everyone=everyone,
        )
    except UserError as error:
        return _page(request, service, caller, problem=str(error), status=422)
    return _page(request, service, caller, secret=secret, done="Notifications are now sent there.")


@router.post("/notices/{identifier}/remove")
def unsubscribe(service: CurrentService, caller: CurrentCaller, identifier: str) -> Response:
    """Send no more word there."""
    subscribing.unsubscribe(service, caller, identifier)
    return RedirectResponse("/notices", 303)


@router.post("/notices/{identifier}/test")
async def test(
    request: Request, service: CurrentService, caller: CurrentCaller, identifier: str
) -> Response:
    """Send a word there now."""
    error = await subscribing.send_test(service, caller, identifier)
    done = "" if error else "The test notification has arrived."
    return _page(request, service, caller, problem=error, done=done)


def _page(
    request: Request,
    service: Service,
    caller: Caller,
    *,
    problem: str = "",
    done: str = "",
    secret: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "notices.html",
        status=status,
        listed=subscribing.listed(service, caller),
        kinds=list(channels_of(service.settings)),
        occasions=OCCASIONS,
        problem=problem,
        done=done,
        secret=secret,
    )
