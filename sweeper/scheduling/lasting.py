"""Running a sweep through the absence of the database that holds its study.

A server that is killed, moved or cut off takes nothing with it that was written: the driver ends
what it has started, as a kill would, waits until the server answers, and goes on as a new driver.
"""

from __future__ import annotations

import time
from typing import Any

from sweeper.errors import LedgerError, StudyAway
from sweeper.home import Home
from sweeper.scheduling.recording.events import Listener, Noted, Outcome
from sweeper.scheduling.run import run
from sweeper.search.driver_lock import answers
from sweeper.sweepfile.model import Sweep

LOOK_EVERY = 1.0
"""Seconds between two looks whether the server answers."""

ONCE = ("adopt", "retry_failed", "unpause", "take_over")
"""What is asked of a run's beginning, and not again where it goes on."""


def run_lasting(
    sweep: Sweep, home: Home, *, events: Listener | None = None, **given: Any
) -> Outcome:
    """`run`, which waits for the study's database where that goes away in between, however long.

    Raises:
        SweeperError: what `run` raises; a LedgerError where the database is away from the start.
    """
    tell: Listener = events or (lambda event: None)
    while True:
        try:
            return run(sweep, home, events=events, **given)
        except StudyAway as error:  # only of a study that has been opened
            tell(Noted(f"{error}: the sweep continues when it answers again", time.time()))
        while not _answers():
            time.sleep(LOOK_EVERY)
        tell(Noted("the database answers again", time.time()))
        given = {name: what for name, what in given.items() if name not in ONCE}


def _answers() -> bool:
    try:
        answers()
    except LedgerError:
        return False
    return True
