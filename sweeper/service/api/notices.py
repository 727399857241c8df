"""Word to people over the API: who is told of what, where."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field

from sweeper.service.app import CurrentService, Service
from sweeper.service.notices import subscribing
from sweeper.service.notices.occasions import OCCASIONS, Occasion
from sweeper.service.notices.subscribing import Listed
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state.tables import Subscription

router = APIRouter(prefix="/api/v1/notices", tags=["notices"])

Identifier = Annotated[str, Path(description="Id of a subscription.", max_length=100)]
Kind = Literal["webhook", "slack", "email"]


class NewSubscription(BaseModel):
    """Where word is to be sent, and of what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"kind": "webhook", "target": "https://hooks.lab.example/sweeps"},
                {"kind": "email", "target": "ada@lab.example", "occasions": ["ended", "failed"]},
            ]
        },
    )

    kind: Kind
    target: str = Field(max_length=2000, description="An address: https://… or NAME@HOST.")
    occasions: list[Occasion] = Field(
        default_factory=list,
        max_length=len(OCCASIONS),
        description="Empty: all. " + "; ".join(f"`{name}`: {w}" for name, w in OCCASIONS.items()),
    )
    everyone: bool = Field(default=False, description="Of everybody's sweeps, not only one's own.")


class SubscriptionShape(BaseModel):
    """Where word is sent. Of the target of a webhook only the host is shown."""

    id: str
    kind: Kind
    target: str
    occasions: list[Occasion]
    everyone: bool
    created: float
    last_event: int | None = Field(default=None, description="Event that was last sent there.")
    last_error: str = Field(default="", description="Why that has not arrived; empty: it has.")


class SubscriptionMade(SubscriptionShape):
    """A new subscription, with the key of its signatures, which is shown this once."""

    secret: str


class Tried(BaseModel):
    """Whether a word to try has arrived; else why not."""

    delivered: bool
    error: str = ""


@router.get("")
def list_subscriptions(service: CurrentService, caller: CurrentCaller) -> list[SubscriptionShape]:
    """Where word is sent to the caller."""
    return [SubscriptionShape(**_fields(one)) for one in subscribing.listed(service, caller)]


@router.post("", status_code=201)
def subscribe(
    given: NewSubscription, service: CurrentService, caller: CurrentCaller
) -> SubscriptionMade:
    """Send word of sweeps somewhere from now on."""
    subscription, secret = subscribing.subscribe(
        service,
        caller,
        kind=given.kind,
        target=given.target,
        occasions=given.occasions,
        everyone=given.everyone,
    )
    return SubscriptionMade(**_fields(subscribing.shown(service, subscription)), secret=secret)


@router.delete("/{identifier}", status_code=204)
def unsubscribe(identifier: Identifier, service: CurrentService, caller: CurrentCaller) -> None:
    """Send no more word there."""
    subscribing.unsubscribe(service, caller, identifier)


@router.post("/{identifier}:test")
async def send_test(
    identifier: Identifier, service: CurrentService, caller: CurrentCaller
) -> Tried:
    """Send a word there now, and say whether it has arrived."""
    error = await subscribing.send_test(service, caller, identifier)
    return Tried(delivered=not error, error=error)


def _fields(listed: Listed) -> dict[str, object]:
    made: Subscription = listed.subscription
    return {
        "id": made.id,
        "kind": made.kind,
        "target": listed.target,
        "occasions": made.events,
        "everyone": made.everyone,
        "created": made.created,
        "last_event": listed.last.event_id if listed.last else None,
        "last_error": listed.last.error if listed.last else "",
    }


def install(app: FastAPI, service: Service) -> None:
    """Add the routes."""
    app.include_router(router)
