"""What happened, as the API tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sweeper.service.api.shape import Number, Plain, Shape

if TYPE_CHECKING:
    from sweeper.service.state.tables import Event


class EventShape(Shape):
    """Something that happened."""

    number: int
    """One more than that of the event before, over the whole server."""
    time: Number
    kind: str
    sweep_id: str | None
    """The sweep it happened to; null where it was none."""
    data: Plain

    @classmethod
    def of(cls, event: Event) -> Self:
        """That of a row."""
        return cls(
            number=event.id,
            time=event.time,
            kind=event.kind,
            sweep_id=event.sweep_id,
            data=event.data,
        )


class EventsShape(Shape):
    """Some events, in order."""

    events: list[EventShape]
    last: int
    """Where to go on: the number to ask for what comes `after`."""
