"""A driver's correspondence with the database: a thread that reads what is wanted, and writes what
there is to say.

A database that is away is endured: what was last said to the driver holds, and what it has to say
waits. Each write says what it writes in full, or finds out what of it is there already: one whose
answer was lost is made again, and changes nothing.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sweeper.errors import Superseded, SweeperError
from sweeper.scheduling.conducting.steering import Order, Pulse
from sweeper.service.state import drivers
from sweeper.service.state.database import Database, DatabaseError, Session
from sweeper.service.state.drivers import Word
from sweeper.service.state.events import add_events, events_after, last_event
from sweeper.service.state.tables import Driver
from sweeper.wording import visible

READ_EVERY = 0.5
"""Seconds between two looks at what is wanted."""

WRITE_EVERY = 1.0
"""Seconds between two heartbeats."""

PATIENCE = 600.0
"""Seconds for which a driver waits for the database to say its first word, or its last."""

Happened = tuple[str, Mapping[str, Any], float]
"""An event: kind, data, time."""

Last = Callable[[Driver], Sequence[Happened]]
"""What is done to the row at the end of a write, and what is told of that."""

log = logging.getLogger(__name__)


class Post:
    """The correspondence of one driver, in a `with` block."""

    def __init__(self, database: Database, sweep_id: str, attempt: int) -> None:
        self._database = database
        self._sweep_id = sweep_id
        self._attempt = attempt
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._correspond, name="post", daemon=True)
        self._word = Word("run", 0.0, 0, False, {})
        self._orders: tuple[Order, ...] = ()
        self._superseded: Superseded | None = None
        self._events: list[Happened] = []
        self._outcomes: dict[str, str] = {}
        self._done_once: dict[str, Any] = {}
        self._row: dict[str, Any] = {"host": platform.node(), "pid": os.getpid()}
        self._used = (0.0, 0.0)
        self._seen = 0  # the last event that was there when ours were last written
        self._in_doubt = False
        self._next_write = 0.0

    def __enter__(self) -> Self:
        """Say for the first time that the driver lives.

        Raises:
            Superseded: it is the sweep's driver no longer.
            DatabaseError: the database has not answered for long.
        """
        self._persist(lambda driver: ())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    # What the driver asks ---------------------------------------------------------------------

    @property
    def word(self) -> Word:
        """What it was last told.

        Raises:
            Superseded: it is the sweep's driver no longer.
        """
        self.check()
        return self._word

    @property
    def orders(self) -> tuple[Order, ...]:
        """What was ordered for single trials and is not done, as far as that has been read."""
        with self._lock:
            return tuple(order for order in self._orders if order.id not in self._outcomes)

    def check(self) -> None:
        """See that it still is the sweep's driver, as far as the database has said.

        Raises:
            Superseded: it is not.
        """
        if self._superseded is not None:
            raise self._superseded

    # What the driver says ---------------------------------------------------------------------

    def tell(self, *happened: Happened) -> None:
        """Have these written down, in this order."""
        with self._lock:
            self._events += happened

    def done(self, order: Order, outcome: str) -> None:
        """Have it written down what has come of an order."""
        with self._lock:
            self._outcomes[order.id] = visible(outcome)

    def done_once(self, options: Mapping[str, Any]) -> None:
        """Have it written down that what these options of the sweep ask is done: no later driver is
        asked for it, unless somebody has asked for something else meanwhile."""
        with self._lock:
            self._done_once |= options

    def beat(self, pulse: Pulse, machines: Mapping[str, int]) -> None:
        """How the driver is, from now on."""
        self.note(
            at_work=len(pulse.at_work),
            over=pulse.over,
            phase=pulse.phase,
            # Never none: of one that has nothing left to train something is still to be measured.
            wants=max(1, pulse.could),
            machines=dict(machines),
        )
        with self._lock:
            self._used = (pulse.gpu_seconds, pulse.cpu_seconds)

    def note(self, **row: Any) -> None:
        """What else stands in its row."""
        with self._lock:
            self._row |= row

    def end(self, outcome: Callable[[Word], tuple[str, str]]) -> None:
        """Write all that is left, and how the sweep ended: what `outcome`, a word and a message, is
        in view of what is wanted at that moment.

        Raises:
            Superseded: it is the sweep's driver no longer.
            DatabaseError: the database has not answered for long.
        """

        def write(driver: Driver) -> Sequence[Happened]:
            if driver.outcome is not None:  # by a write whose answer was lost
                return ()
            driver.outcome, message = outcome(self._word)
            driver.message = visible(message)  # it may quote names that no database holds
            driver.asked, driver.ended = self._word.asked, time.time()
            driver.at_work, driver.machines = 0, {}
            told = {"outcome": driver.outcome, "message": driver.message}
            return [("driver_ended", told, driver.ended)]

        self._close()
        self.check()
        self._persist(write)

    def _persist(self, last: Last) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._write(last)
            except DatabaseError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("%s; it is tried again", error)
                time.sleep(WRITE_EVERY)

    # The thread -------------------------------------------------------------------------------

    def _close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _correspond(self) -> None:
        away = False
        while not self._closed.wait(READ_EVERY):
            try:
                if time.monotonic() >= self._next_write:
                    self._next_write = time.monotonic() + WRITE_EVERY
                    self._write(lambda driver: ())
                else:
                    self._read()
            except Superseded as error:
                self._superseded = error
                return
            except SweeperError as error:
                if not away:
                    log.warning("%s; what was last said holds", error)
                away = True
            else:
                away = False

    def _read(self) -> None:
        with self._database.reading() as session:
            self._take(session)

    def _take(self, session: Session) -> None:
        """Take in what is wanted now."""
        word = drivers.word(session, self._sweep_id, self._attempt)
        rows = drivers.orders_for(session, self._sweep_id) if word.ordered else []
        orders = tuple(
            Order(row.id, row.kind, row.number, row.payload, row.reason, by)  # type: ignore[arg-type]
            for row, by in rows
        )
        with self._lock:
            self._word, self._orders = word, orders

    def _write(self, last: Last) -> None:
        with self._lock:
            events, outcomes = tuple(self._events), dict(self._outcomes)
            row, used, options = dict(self._row), self._used, dict(self._done_once)
        doubt, self._in_doubt = self._in_doubt, True
        with self._database.writing() as session:
            driver = drivers.speaking(session, self._sweep_id, self._attempt)
            driver.heartbeat = time.time()
            for name, value in row.items():
                setattr(driver, name, value)
            drivers.use(session, driver, *used)
            drivers.done_once(session, self._sweep_id, options)
            for order_id, outcome in outcomes.items():
                drivers.order_done(session, order_id, outcome)
            self._take(session)
            fresh = self._not_there(session, events) if doubt else events
            fresh = [*fresh, *last(driver)]
            seen = add_events(session, self._sweep_id, fresh) if fresh else last_event(session)
        self._in_doubt, self._seen = False, seen
        with self._lock:
            del self._events[: len(events)]
            self._outcomes = {k: v for k, v in self._outcomes.items() if k not in outcomes}
            self._done_once = {k: v for k, v in self._done_once.items() if k not in options}

    def _not_there(self, session: Session, events: Sequence[Happened]) -> Sequence[Happened]:
        """Those that an earlier write, whose answer was lost, has not written."""
        there = [
            (event.kind, event.data, event.time)
            for event in events_after(session, self._seen, self._sweep_id, limit=len(events) + 100)
        ]
        return [event for event in events if event not in there]
