"""One driver: from its row to its outcome.

What ends it is written as the sweep's outcome where that is the sweep's own; what is not, such as a
cluster, a database or a disk that gave out, a lock that another process has, or a signal, leaves it
`interrupted`, or without space, and the dispatcher has another driver go on.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeper.errors import LedgerError, Superseded, SweepBusy, SweeperError, TrackingError
from sweeper.home import Home
from sweeper.scheduling.recording.events import (
    Event,
    Outcome,
    ProtocolChanged,
    SweepStarted,
    TrialEvaluated,
)
from sweeper.scheduling.working.failures import is_disk_full
from sweeper.service.driving.post import Post
from sweeper.service.driving.steering import ServiceSteering
from sweeper.service.driving.summary import Summary
from sweeper.service.driving.telling import Teller, Told
from sweeper.service.state import drivers
from sweeper.service.state.database import Database
from sweeper.service.state.drivers import Word
from sweeper.service.state.tables import NO_SPACE
from sweeper.service.state.tables import Sweep as Row
from sweeper.sweepfile.load import sweep_from_dict

_NOT_ITS_OWN = (SweepBusy, LedgerError, TrackingError)
"""What stops a driver and says nothing of its sweep."""

_LEFT_BY = {"disk": NO_SPACE, "surroundings": "interrupted"}
"""The outcome of a driver whose run was lost by this."""

log = logging.getLogger(__name__)


def drive(
    database: Database,
    home: Home,
    sweep_id: str,
    attempt: int,
    run: Callable[..., Outcome],
) -> int:
    """Be the driver of this attempt at a sweep, until it ends: `run` it, which is
    `sweeper.scheduling.run.run`. Returns an exit status.

    Raises:
        DatabaseError: the database has not answered for long.
    """
    try:
        with Post(database, sweep_id, attempt) as post:
            with database.reading() as session:
                row = session.get_one(Row, sweep_id)
                told = [
                    (event.kind, event.data, event.time)
                    for event in drivers.told_of_trials(session, sweep_id)
                ]
            _drive(post, home, row, Told(told), run)
    except Superseded as error:
        log.warning("%s", error)
        return 1
    return 0


def _drive(post: Post, home: Home, row: Row, told: Told, run: Callable[..., Outcome]) -> None:
    folder = home.sweep(row.name)
    steering = ServiceSteering(folder, post)
    try:
        sweep = sweep_from_dict(row.spec, row.name)
        teller, summary = Teller(post.tell, told), Summary(sweep, post.note)
        asked = _Asked(row)

        def listen(event: Event) -> None:
            teller(event)
            summary(event)
            post.done_once(asked.done_by(event))

        with tempfile.TemporaryDirectory() as beside:
            source = Path(beside) / "sweep.yaml"
            source.write_text(row.source, encoding="utf-8")
            outcome = run(
                sweep, home, events=listen, source=source, steering=steering, **asked.options
            )
        summary.write()
        state = _LEFT_BY[outcome.lost] if outcome.lost else outcome.state
        message = outcome.message
    except Superseded:
        raise
    except Exception as error:
        state, message = _ended_by(error, row.name)
    post.end(lambda word: _in_view_of(word, steering, state, message))


def _ended_by(error: Exception, name: str) -> tuple[str, str]:
    """How the sweep of this name ended whose driver met with this."""
    if is_disk_full(error):
        return NO_SPACE, str(error)
    if isinstance(error, _NOT_ITS_OWN):
        return "interrupted", str(error)
    if isinstance(error, SweeperError):
        return "failed", str(error)
    log.error("the driver of %s has a fault", name, exc_info=error)
    return "failed", f"a fault of the service: {type(error).__name__}: {error}"


def _in_view_of(word: Word, steering: ServiceSteering, state: str, message: str) -> tuple[str, str]:
    """How the sweep ended, in view of what is wanted now: one that has ended at another's word, at
    its driver's own, or by limits that it has no more, was only interrupted where it is to run."""
    if state == "cancelled" and steering.stood_aside:
        return "interrupted", ""
    if state in ("stopped", "cancelled") and steering.obeyed and word.wanted == "run":
        return "interrupted", message
    if steering.within not in (None, word.limits) and word.wanted == "run":
        return "interrupted", "its limits were changed as it came to its end"
    return state, message


class _Asked:
    """What `sweeper run` takes beside the file. Each of these options asks for something once, and
    a later driver must not do it again."""

    def __init__(self, row: Row) -> None:
        known = ("adopt", "retry_failed", "accept_protocol")
        self.options = {name: row.options[name] for name in known if name in row.options}
        self._left = dict(self.options)
        self._measured = False  # by anything that a later protocol would have to replace

    def done_by(self, event: Event) -> dict[str, Any]:
        """Those of them of which this event is the first to say that what they ask is done, in the
        study."""
        done: tuple[str, ...] = ()
        match event:
            case SweepStarted():
                self._measured = bool(event.protocol)
                done = ("adopt", "retry_failed", *(["accept_protocol"] if event.accepted else []))
            case ProtocolChanged():
                done = ("accept_protocol",)
            case TrialEvaluated() if event.evaluation.protocol and not self._measured:
                done = ("accept_protocol",)  # whatever there was to accept, the sweep has its own
        return {name: self._left.pop(name) for name in done if name in self._left}
