"""Word to people as the API tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from sweeper.service.api.shape import Asked, Number, Shape, Text
from sweeper.service.notices.occasions import OCCASIONS, Occasion

if TYPE_CHECKING:
    from sweeper.service.notices.subscribing import Listed

Kind = Literal["webhook", "slack", "email"]


class SubscriptionAsked(Asked):
    """Where word is to be sent, and of what."""

    kind: Kind
    target: Text = Field(max_length=2000, examples=["https://hooks.lab.example/sweeps"])
    """An address of HTTP, or of e-mail."""
    occasions: list[Occasion] = Field(
        default=[],
        max_length=len(OCCASIONS),
        description="Of what; empty: of all. "
        + "; ".join(f"`{name}`: {words}" for name, words in OCCASIONS.items())
        + ".",
        examples=[["ended", "failed"]],
    )
    everyone: bool = False
    """Of everybody's sweeps, not only of one's own."""


class SubscriptionShape(Shape):
    """Where word is sent."""

    id: str
    kind: Kind
    target: str
    """Of the address of a webhook only its host."""
    occasions: list[Occasion]
    everyone: bool
    created: Number
    last_event: int | None
    """The notice that was last sent there, by its number among the events; null before any."""
    last_error: str
    """Why that has not arrived; empty where it has."""

    @classmethod
    def of(cls, listed: Listed) -> Self:
        """A subscription as its owner sees it."""
        return cls(**_facts(listed))


class SubscribedShape(SubscriptionShape):
    """A new subscription."""

    secret: str
    """The key of its signatures, shown this once; empty where nothing is signed."""

    @classmethod
    def made(cls, listed: Listed, secret: str) -> Self:
        """A subscription as it is shown to its owner first."""
        return cls(**_facts(listed), secret=secret)


class TriedShape(Shape):
    """What came of a word to try."""

    delivered: bool
    error: str
    """Why it has not arrived; empty where it has."""


def _facts(listed: Listed) -> dict[str, object]:
    made, last = listed.subscription, listed.last
    return {
        **{key: getattr(made, key) for key in ("id", "kind", "everyone", "created")},
        "target": listed.target,
        "occasions": made.events,
        "last_event": last.event_id if last else None,
        "last_error": last.error if last else "",
    }
