"""What happens on a server: what did, and as it does."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.client.group import Group
from sweeper.client.streams import resumed
from sweeper.service.api.shapes_events import EventShape, EventsShape

PAGE = 1000


class Events(Group):
    """Events have one number over the whole server, without a gap. Each method takes the name of a
    sweep, for those of it alone."""

    def list(self, sweep: str | None = None, *, after: int = 0) -> Iterator[EventShape]:
        """What has happened after a number, in order, asked for page by page."""
        while True:
            page = self._http.get("/events", EventsShape, sweep=sweep, after=after, limit=PAGE)
            yield from page.events
            if page.last <= after or len(page.events) < PAGE:
                return
            after = page.last

    def follow(self, sweep: str | None = None, *, after: int | None = None) -> Iterator[EventShape]:
        """What happens from now on, or after a number, as it does and without end. A connection
        that breaks off goes on where it was: nothing is missed, and nothing told twice."""
        last = None if after is None else str(after)
        for sent in resumed(self._http, "/events", {"sweep": sweep}, last):
            if sent.data is not None:
                yield self._http.parse(sent.data, EventShape)
