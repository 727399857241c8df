"""Word to people: subscribe, list, remove, send a word to try."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, status

from sweeper.service.api.routing import router
from sweeper.service.api.shapes_notices import (
    SubscribedShape,
    SubscriptionAsked,
    SubscriptionShape,
    TriedShape,
)
from sweeper.service.app import CurrentService
from sweeper.service.notices import subscribing
from sweeper.service.people.permission import CurrentCaller

notices = router("notices")
writing = router("notices", "submit")

Identifier = Annotated[str, Path(max_length=100, description="A subscription's id.")]


@notices.get("/notices")
def list_subscriptions(service: CurrentService, caller: CurrentCaller) -> list[SubscriptionShape]:
    """List where word is sent to who asks."""
    return [SubscriptionShape.of(one) for one in subscribing.listed(service, caller)]


@writing.post("/notices", status_code=status.HTTP_201_CREATED)
def subscribe(
    asked: SubscriptionAsked, service: CurrentService, caller: CurrentCaller
) -> SubscribedShape:
    """Send word of sweeps somewhere from now on.

    A webhook is signed as https://www.standardwebhooks.com says. Addresses of machines and networks
    of the server's own are refused, unless it was started with `--internal-targets`.
    """
    subscription, secret = subscribing.subscribe(
        service,
        caller,
        kind=asked.kind,
        target=asked.target,
        occasions=asked.occasions,
        everyone=asked.everyone,
    )
    return SubscribedShape.made(subscribing.shown(service, subscription), secret)


@writing.delete("/notices/{identifier:part}", status_code=status.HTTP_204_NO_CONTENT)
def unsubscribe(identifier: Identifier, service: CurrentService, caller: CurrentCaller) -> None:
    """Send no more word there."""
    subscribing.unsubscribe(service, caller, identifier)


@writing.post("/notices/{identifier:part}:test")
async def send_test_word(
    identifier: Identifier, service: CurrentService, caller: CurrentCaller
) -> TriedShape:
    """Send a word there now, and say whether it has arrived."""
    error = await subscribing.send_test(service, caller, identifier)
    return TriedShape(delivered=not error, error=error)


def install(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(notices)
    app.include_router(writing)
