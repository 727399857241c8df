"""The dispatcher itself: a look every second, for as long as it has the lock."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sweeper.errors import SweeperError
from sweeper.service.dispatching import asking
from sweeper.service.dispatching.hands import Hands, Jobs
from sweeper.service.dispatching.states import Heartbeats, Life, Step, closes, next_step, rests
from sweeper.service.queue.arrange import Lease, arrange
from sweeper.service.queue.asking import Machine
from sweeper.service.state import dispatch
from sweeper.service.state.database import Database, Session
from sweeper.service.state.dispatch import Pending
from sweeper.service.state.events import add_event
from sweeper.service.state.tables import ENDS
from sweeper.service.state.tables import Lease as Row
from sweeper.wording import duration

LOOK_EVERY = 1.0
"""Seconds between two looks."""

BELIEVED = 60.0
"""Seconds for which machines that no longer answer are taken to be there."""

BEGUN_AT_ONCE = 8
"""Drivers that are started at the same time: each takes a core for some seconds."""

LOCK = "dispatcher"

log = logging.getLogger(__name__)


class Replaced(SweeperError):  # noqa: N818 - what happened
    """Another dispatcher has begun its term: this one's lock was lost."""


class Dispatcher:
    """Looks after all sweeps. `erase` removes what a deleted one has left; False where that has to
    be asked again."""

    def __init__(self, database: Database, jobs: Jobs, erase: Callable[[str], bool]) -> None:
        self._database = database
        self._jobs = jobs
        self._erase = erase
        self._stop = threading.Event()
        self._there: tuple[Machine, ...] = ()
        self._seen = -math.inf
        self._why_away = ""

    def run(self) -> None:
        """Look again and again until `stop`; where another process has the lock, wait for it."""
        waits_for = ""
        while not self._stop.is_set():
            try:
                with self._database.lock(LOCK) as mine:
                    if mine:
                        waits_for = ""
                        self._serve()
            except SweeperError as error:  # the database is away, or the lock with its connection
                if str(error) != waits_for:
                    log.warning("the dispatcher waits: %s", error)
                waits_for = str(error)
            except Exception:
                log.exception("the dispatcher stumbled, and begins anew")
            self._stop.wait(LOOK_EVERY)

    def stop(self) -> None:
        """End after the present look; drivers go on."""
        self._stop.set()

    def _serve(self) -> None:
        with self._database.writing() as session:
            term = Term(dispatch.take_term(session), self._jobs, self._erase)
        try:
            while not self._stop.is_set():
                machines, began = self._machines(), time.thread_time()
                with self._database.writing() as session:
                    term.look(session, machines)
                term.act()
                # With thousands of sweeps less often, so that it takes a tenth of a core.
                self._stop.wait(max(LOOK_EVERY, 9 * (time.thread_time() - began)))
        finally:
            term.close()

    def _machines(self) -> tuple[Machine, ...]:
        """Those that there are; while they cannot be asked for, those that there were a while ago:
        trials need not make way because an answer was lost."""
        try:
            self._there, self._seen = tuple(self._jobs.machines()), time.monotonic()
            self._why_away = ""
        except SweeperError as error:
            if str(error) != self._why_away:
                log.warning("the machines cannot be asked for: %s", error)
            self._why_away = str(error)
            if time.monotonic() - self._seen > BELIEVED:
                self._there = ()
        return self._there


class Term:
    """One dispatcher's time in office, from when it had the lock: it knows whose heart beats."""

    def __init__(self, number: int, jobs: Jobs, erase: Callable[[str], bool]) -> None:
        self._number = number
        self._jobs = jobs
        self._erase = erase
        self._hearts = Heartbeats()
        self._hands = Hands()
        self._bin = Hands()  # apart, for MLflow may keep what is deleted waiting
        self._to_do: list[tuple[Hands, str, Callable[[], object]]] = []

    def look(self, session: Session, machines: tuple[Machine, ...]) -> None:
        """See what has become of every sweep, and who may run how much.

        Raises:
            Replaced: another dispatcher has begun its term.
        """
        if not dispatch.is_current(session, self._number):
            raise Replaced("another dispatcher has taken over")
        now = time.time()
        sweeps = dispatch.pending(session)
        changed = {sweep.id: sweep for sweep in sweeps if self._advance(sweep, now)}
        asks = [sweep for sweep in sweeps if asking.asks(sweep) and not rests(sweep, now)]
        owners = asking.people(session, machines, now)
        leases = arrange(machines, owners.values(), asking.asked(asks, owners))
        beginning = sum(sweep.lease.state == "starting" for sweep in sweeps)
        for sweep in sweeps:
            _write(sweep, leases.get(sweep.id), now)
            if _may_begin(sweep, now) and beginning < BEGUN_AT_ONCE:
                beginning += 1
                sweep = replace(sweep, driver=dispatch.begin_driver(session, sweep))
                if _become(sweep, Step("starting", sweep.lease.message, sweep.lease.starts), now):
                    changed[sweep.id] = sweep
            self._have_started(sweep)
            if sweep.deleted is not None and not sweep.driven:
                erase = partial(self._erase, sweep.id)
                self._to_do.append((self._bin, f"delete {sweep.name}", erase))
        for sweep in changed.values():
            told = {"state": sweep.lease.state, "message": sweep.lease.message}
            add_event(session, sweep.id, "state", told)

    def act(self) -> None:
        """Do outside what the look has decided, now that it is written down."""
        for hands, what, action in self._to_do:
            hands.do(what, action)
        self._to_do.clear()

    def close(self) -> None:
        """The term is over."""
        self._hands.close()
        self._bin.close()

    def _advance(self, sweep: Pending, now: float) -> bool:
        """Take in what its driver and its owner say; whether it is in another state by that."""
        life = self._hearts.life(sweep, time.monotonic())
        driver = sweep.driver
        step = next_step(sweep, life, self._hands.failed(f"start {driver.job}") if driver else "")
        if life is Life.LOST and driver is not None:
            # It may be a job that waits, or a process that is stopped: it must not go on later.
            self._have(f"end {driver.job}", partial(self._jobs.end, driver.job))
        return _become(sweep, step, now)

    def _have_started(self, sweep: Pending) -> None:
        """Have a driver started that has not said that it lives. A dispatcher that ended in between
        may have begun it without."""
        driver = sweep.driver
        if driver is None or not sweep.driven or driver.heartbeat is not None:
            return
        if driver.attempt > 1:  # whatever has become of it, it must not be in the way
            before = sweep.job(driver.attempt - 1)
            self._have(f"end {before}", partial(self._jobs.end, before))
        arguments = (sweep.id, str(driver.attempt))
        self._have(f"start {driver.job}", partial(self._jobs.start, driver.job, arguments))

    def _have(self, what: str, action: Callable[[], object]) -> None:
        self._to_do.append((self._hands, what, action))


def _may_begin(sweep: Pending, now: float) -> bool:
    if closes(sweep):
        return not rests(sweep, now)
    return sweep.lease.parallel > 0 and not sweep.driven and sweep.wanted == "run"


def _become(sweep: Pending, step: Step, now: float) -> bool:
    lease, driver = sweep.lease, sweep.driver
    new = step.state != lease.state
    if new:
        lease.state, lease.since = step.state, now
        lease.ended = now if step.state in ENDS else None
    _put(lease, message=step.message, starts=step.starts)
    if step.settled and driver is not None:
        lease.settled = driver.attempt
    if step.obeyed is not None:
        lease.asked = step.obeyed
    return new


def _write(sweep: Pending, given: Lease | None, now: float) -> None:
    """The sweep's lease, and what is told of its place in the queue."""
    if given is None:
        pause = math.ceil(rests(sweep, now) / 10) * 10
        reason = f"A driver is started again in about {duration(pause)}." if pause else ""
        _put(sweep.lease, parallel=0, place=None, reason=reason, expected=None)
        return
    expected = sweep.lease.expected
    if given.starts_in is None:
        expected = None
    elif expected is None or abs(expected - now - given.starts_in) > 60:
        expected = math.ceil((now + given.starts_in) / 60) * 60.0
    reason = given.reason.words() if given.reason else ""
    _put(sweep.lease, parallel=given.parallel, place=given.before, reason=reason, expected=expected)


def _put(row: Row, **values: object) -> None:
    """Have these values in a row. What is there already is not set: with a thousand sweeps in the
    queue, to look through rows that have not changed would take most of a look."""
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
