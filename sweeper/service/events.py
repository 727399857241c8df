"""Events as they happen, for many listeners at once: one reader of the database for all of them.

    database ─── one poll every half second ──▶ Hub ──▶ a bounded queue a listener ──▶ a stream

A listener that joins is first told from the database what it has missed, up to the number at which
the hub was when it joined, and from there on by the hub: numbers have no gap, so nor has what it
hears. One that reads too slowly is let go, and comes back with the number that it saw last.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from sweeper.errors import SweeperError
from sweeper.service.state import accounts, events
from sweeper.service.state.accounts import Caller
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Event

EVERY = 0.5
"""Seconds between two looks at the database."""

QUEUE = 2000
"""Events that a listener may be behind."""

PAGE = 500
"""Events that are read from the database at once."""

CHECK_EVERY = 5.0
"""Seconds between two looks at whether the listeners' tokens still hold."""

HEARTBEAT = 15.0
"""Seconds without an event, after which a listener is told that there was none."""


@dataclass(frozen=True)
class Heard:
    """What a listener hears: an event, or that nothing more happened up to a number."""

    number: int
    event: Event | None = None


@dataclass(eq=False)
class _Listener:
    sweep_id: str | None
    token_id: str
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    ended: bool = False

    def offer(self, event: Event) -> None:
        """Tell it, or let it go where it cannot keep up."""
        if self.ended or (self.sweep_id is not None and event.sweep_id != self.sweep_id):
            return
        if self.queue.qsize() >= QUEUE - 1:
            self.end()
        else:
            self.queue.put_nowait(event)

    def end(self) -> None:
        """Tell it nothing more: what waits already is its last."""
        if not self.ended:
            self.ended = True
            self.queue.put_nowait(None)


class Hub:
    """Tells listeners of events, in the one event loop of the server. Every stream ends once
    `ending` is set."""

    def __init__(self, database: Database, ending: threading.Event) -> None:
        self._database = database
        self._ending = ending
        self._listeners: set[_Listener] = set()
        self._at = 0
        self._poller: asyncio.Task[None] | None = None
        self._joining = asyncio.Lock()

    async def listen(
        self, caller: Caller, after: int | None = None, sweep_id: str | None = None
    ) -> AsyncIterator[Heard]:
        """Events after a number, None being now, of one sweep or of all, and first of all where it
        begins, until the token of who listens is revoked, the server ends, or too many wait to be
        read."""
        listener = _Listener(sweep_id, caller.token.id)
        joined = await self._join(listener)
        try:
            last = joined if after is None else min(after, joined)
            yield Heard(last)
            while last < joined and not listener.ended:
                missed = await run_in_threadpool(self._read, last, sweep_id)
                for event in missed:
                    if event.id <= joined:  # the hub tells of the others
                        yield Heard(event.id, event)
                last = missed[-1].id if len(missed) == PAGE else joined
            while not listener.ended or not listener.queue.empty():
                heard = await self._next(listener)
                if heard is None:
                    return
                yield heard
        finally:
            self._leave(listener)

    async def _next(self, listener: _Listener) -> Heard | None:
        try:
            event = await asyncio.wait_for(listener.queue.get(), HEARTBEAT)
        except TimeoutError:
            return Heard(self._at)
        return None if event is None else Heard(event.id, event)

    async def _join(self, listener: _Listener) -> int:
        """Have a listener told of what comes after the number that is returned."""
        async with self._joining:
            if self._poller is None or self._poller.done():
                self._at = await run_in_threadpool(self._last)
                self._poller = asyncio.create_task(self._poll())
            self._listeners.add(listener)
            return self._at

    def _leave(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        checked = loop.time()
        while not self._ending.is_set():
            full = False
            with contextlib.suppress(SweeperError):  # the database is away for a while
                full = await self._tell()
                if loop.time() - checked > CHECK_EVERY:
                    checked = loop.time()
                    await self._end_revoked()
            if not full:
                await asyncio.sleep(EVERY)
        for listener in self._listeners:
            listener.end()

    async def _tell(self) -> bool:
        """Tell of what is new; whether there may be more at once."""
        fresh = await run_in_threadpool(self._read, self._at, None)
        for event in fresh:
            for listener in self._listeners:
                listener.offer(event)
            self._at = event.id
        return len(fresh) == PAGE

    async def _end_revoked(self) -> None:
        asked = {listener.token_id for listener in self._listeners}
        valid = await run_in_threadpool(self._valid, asked)
        for listener in self._listeners:
            if listener.token_id not in valid and listener.token_id in asked:
                listener.end()

    def _last(self) -> int:
        with self._database.reading() as session:
            return events.last_event(session)

    def _read(self, after: int, sweep_id: str | None) -> list[Event]:
        with self._database.reading() as session:
            return events.events_after(session, after, sweep_id, PAGE)

    def _valid(self, token_ids: set[str]) -> set[str]:
        with self._database.reading() as session:
            return accounts.valid_tokens(session, token_ids)
