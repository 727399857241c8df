"""What stands before the records of a study."""

from __future__ import annotations

from sweeper.service.api.shape import Plain, Shape


class RecordsHead(Shape):
    """A sweep as its study knows it; with the trials, all that standings are worked out of."""

    spec: Plain
    """The sweep file with every default."""
    planned: int | None
    """How many trials the last driver knew there would be; null where none has said."""
    protocol: dict[str, str]
    """By which the sweep is measured; empty before it was."""
    foreign: list[Plain]
    """Entries of the study that are not the sweep's own: number, state, words."""
    folder: str
    """Where its files are on the server."""
    version: str
    """Changes whenever there may be more to see."""
