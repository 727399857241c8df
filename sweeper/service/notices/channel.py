"""One way to send word, and what is sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from sweeper.service.pages import addresses
from sweeper.service.settings import ServiceSettings
from sweeper.service.state.notices import KIND, Due


@dataclass(frozen=True)
class Word:
    """What is told to one person once. A word that is sent again has the same `id`."""

    id: str
    occasion: str
    words: str
    link: str
    time: float
    data: dict[str, Any]
    """For programs: sweep, owner, state."""

    @property
    def subject(self) -> str:
        """One line that says what it is about."""
        sweep = self.data.get("sweep")
        return f"[sweeper] {sweep}: {self.occasion}" if sweep else "[sweeper] a word to try"


class Undelivered(Exception):  # noqa: N818 - what happened
    """It did not arrive; `final` where trying again would not help."""

    def __init__(self, words: str, *, final: bool = False) -> None:
        super().__init__(words)
        self.final = final


class Channel(ABC):
    """One way to send word. Its methods may be called from any thread."""

    kind: ClassVar[str]
    ends_by_itself: ClassVar[bool] = False
    """Whether sending takes bounded time of its own; else it is cut off where it takes too long."""

    @abstractmethod
    def check(self, target: str) -> None:
        """See that something could be sent there; this may take as long as resolving a name.

        Raises:
            UserError: it could not.
        """

    @abstractmethod
    def shown(self, target: str) -> str:
        """The target without what is secret in it."""

    def new_secret(self) -> str:
        """A key for signatures; empty where nothing is signed."""
        return ""

    @abstractmethod
    async def send(self, word: Word, target: str, secret: str) -> None:
        """Send it.

        Raises:
            Undelivered: it has not arrived.
            UserError: nothing may be sent there.
        """


def word_of(due: Due, settings: ServiceSettings) -> Word:
    """What a delivery says."""
    event = due.event
    data = {key: event.data[key] for key in ("sweep", "owner", "state")}
    return Word(
        id=f"{due.subscription.id}-{event.id}",
        occasion=event.data["occasion"],
        words=event.data["words"],
        link=settings.address + addresses.sweep(data["sweep"]),
        time=event.time,
        data={**data, KIND: event.id},
    )
