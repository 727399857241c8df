"""Sends word to people, in a thread of the serving process.

    every 15 s   what is worth a word → an event, and a delivery for each who wants to know
    every 1 s    deliveries that are due → sent, all at once; of each subscription one at a time

What is to be sent is in the database before it is sent, and is struck off after: a process that
dies between the two sends again, under the same id. A target that does not answer holds up its own
subscription and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sweeper.errors import SweeperError
from sweeper.service.app import Service
from sweeper.service.notices.channel import Channel, Undelivered, word_of
from sweeper.service.notices.channels import channels_of
from sweeper.service.notices.subscribing import attempt
from sweeper.service.notices.watch import Watch
from sweeper.service.state import notices
from sweeper.service.state.notices import Due

BACK_OFF = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 43200.0)
"""Seconds before each further attempt; after the last, about a day, a delivery is given up."""

WATCH_EVERY = 15.0
SEND_EVERY = 1.0

LAST_WORD = 90.0
"""Seconds for what is on its way when the service ends: longer than any channel takes."""

MOST_AT_ONCE = 64
MOST_OF_A_PERSON = 3
"""Deliveries on their way at the same time."""

_LOCK = "notices"
_THREADS = 32
"""For resolving names and for mail, each of which may take its time."""

_KEPT_SECONDS = 30 * 86400.0
"""How long it is remembered what was delivered."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Notices:
    """Watches and sends while it is started; one of all processes of a database does."""

    def __init__(self, service: Service, channels: Mapping[str, Channel] | None = None) -> None:
        """Raises:
        UserError: the settings of the mail server in the environment are wrong.
        """
        self._service = service
        self._database = service.database
        self._channels = channels_of(service.settings) if channels is None else channels
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._writer = ThreadPoolExecutor(1, "notices-database")
        self._on_the_way: dict[str, asyncio.Task[None]] = {}
        """By subscription."""
        self._persons: Counter[int] = Counter()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more, and wait for what is on its way, which its channel bounds: what a
        receiver has taken is noted, and not sent again at the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(LAST_WORD)
        self._writer.shutdown(wait=False)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "notices"))
        while not self._stopping.is_set():
            try:
                with self._database.lock(_LOCK) as mine:
                    if mine:
                        await self._serve()
            except SweeperError as error:
                _log.warning("no word is sent for now: %s", error)
            except Exception:  # a fault of ours ends neither the service nor all further words
                if not self._stopping.is_set():
                    _log.exception("no word is sent for now")
            await asyncio.sleep(SEND_EVERY)

    async def _serve(self) -> None:
        """Watch and send until told to stop.

        Raises:
            SweeperError: the database cannot be used.
        """
        watch, looked = Watch(self._service), float("-inf")
        try:
            await self._write(self._forget)
            while not self._stopping.is_set():
                if time.monotonic() - looked >= WATCH_EVERY:
                    looked = time.monotonic()
                    await self._write(watch.look)
                for due in await self._write(self._due):
                    self._send(due)
                await asyncio.sleep(SEND_EVERY)
        finally:
            await asyncio.gather(*self._on_the_way.values(), return_exceptions=True)

    def _forget(self) -> None:
        with self._database.writing() as session:
            notices.forget_deliveries(session, time.time() - _KEPT_SECONDS)

    def _due(self) -> list[Due]:
        free = MOST_AT_ONCE - len(self._on_the_way)
        if free <= 0:
            return []
        with self._database.reading() as session:
            return notices.due_now(session, without=list(self._on_the_way), limit=free)

    def _send(self, due: Due) -> None:
        subscription, person = due.subscription.id, due.subscription.person_id
        if self._persons[person] >= MOST_OF_A_PERSON:
            return  # it is due the next time, too

        def done(task: asyncio.Task[None]) -> None:
            del self._on_the_way[subscription]
            self._persons[person] -= 1
            if not task.cancelled() and (error := task.exception()):
                _log.warning("a delivery was not noted, and is sent again: %s", error)

        self._persons[person] += 1
        self._on_the_way[subscription] = asyncio.create_task(self._deliver(due))
        self._on_the_way[subscription].add_done_callback(done)

    async def _deliver(self, due: Due) -> None:
        way = self._channels[due.subscription.kind]
        try:
            refused = await attempt(way, word_of(due, self._service.settings), due.subscription)
        except Exception as error:  # a fault of ours must not hold up the others
            _log.exception("a delivery by %s has failed", due.subscription.kind)
            refused = Undelivered(f"it could not be sent: {type(error).__name__}")
        attempts = due.delivery.attempts
        again = None
        if refused and not refused.final and attempts < len(BACK_OFF):
            again = time.time() + BACK_OFF[attempts]

        def settle() -> None:
            with self._database.writing() as session:
                error = str(refused or "")
                notices.settle(session, due.delivery.id, error=error, again=again)

        await self._write(settle)

    async def _write(self, work: Callable[[], T]) -> T:
        """Have the database's own thread do it: a slow write holds up no sending."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)
