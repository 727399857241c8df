"""What becomes of a sweep, from what is wanted of it and what its driver does. Pure.

                     ┌────────────── interrupted, lost ──────────────┐
    submitted → queued → starting → running ⇄ paused → finished, incomplete, stopped,
                  ↑                                      cancelled, failed
                  └──────────── wanted again ────────────────┘

A driver is believed by its heartbeat and by the outcome that it leaves, nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from sweeper.service.state.dispatch import Pending
from sweeper.service.state.tables import ENDS, NO_SPACE, Driver, SweepState
from sweeper.wording import plural

START_WITHIN = 120.0
"""Seconds for a driver to say that it lives, from when it was begun."""

SILENT = 30.0
"""Seconds without a heartbeat after which a driver is taken for dead."""

STARTS = 6
"""Drivers in a row that may end before any trial begins, or before they have closed a sweep that
is to end."""

PAUSE = 5.0
"""Seconds between a driver that ended before it did anything and the next; doubled each time."""

FULL_PAUSE = 60.0
"""Seconds between a driver that met with a full disk and the next, however many have."""

_WOUND_UP: dict[str, SweepState] = {"stop": "stopped", "cancel": "cancelled", "pause": "paused"}
_ENDING = ("stop", "cancel")

_NOTHING_DONE = ("starting", "rehearsing")
"""Phases in which a driver has not asked for a trial yet."""


class Life(Enum):
    """How it is with the driver of a sweep."""

    NONE = auto()
    STARTING = auto()
    ALIVE = auto()
    OVER = auto()
    """It has left its outcome."""
    LOST = auto()
    """It is silent."""


class Heartbeats:
    """Which drivers live. A heartbeat is fresh when it has changed of late, by the clock of whoever
    looks: that of the driver's machine may be wrong."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float | None, float]] = {}

    def life(self, sweep: Pending, now: float) -> Life:
        """How it is with the driver of this sweep; `now` is of a clock that never jumps."""
        driver = sweep.driver
        if driver is None or not sweep.driven:
            self._seen.pop(sweep.id, None)
            return Life.NONE
        if driver.outcome is not None:
            return Life.OVER
        seen = self._seen.get(sweep.id)
        if seen is None or seen[:2] != (driver.attempt, driver.heartbeat):
            seen = self._seen[sweep.id] = (driver.attempt, driver.heartbeat, now)
        silent = now - seen[2]
        if driver.heartbeat is None:
            return Life.LOST if silent > START_WITHIN else Life.STARTING
        return Life.LOST if silent > SILENT else Life.ALIVE


@dataclass(frozen=True)
class Step:
    """What the sweep is from now on. `settled` says that the end of its driver is in that, `obeyed`
    that it is what was wanted."""

    state: SweepState
    message: str = ""
    starts: int = 0
    settled: bool = False
    obeyed: float | None = None


def next_step(sweep: Pending, life: Life, refused: str = "") -> Step:
    """What becomes of the sweep; `refused` is why its driver could not even be started."""
    lease, driver = sweep.lease, sweep.driver
    if life is Life.NONE:
        return _without_driver(sweep)
    assert driver is not None
    if life is Life.STARTING:
        return Step("starting", lease.message, lease.starts)
    if life is Life.ALIVE:
        starts, message = (0, "") if _has_begun(driver) else (lease.starts, lease.message)
        return Step(_state_of(sweep, driver), message, starts)
    if life is Life.LOST:
        if driver.heartbeat is None:
            return _interrupted(sweep, driver, refused or "its driver did not come up")
        where = f" on {driver.host}" if driver.host else ""
        return _interrupted(sweep, driver, f"its driver{where} (process {driver.pid}) was lost")
    if driver.outcome in ("interrupted", NO_SPACE):
        return _interrupted(sweep, driver, driver.message)
    outcome: SweepState = driver.outcome  # type: ignore[assignment]
    return Step(outcome, driver.message, settled=True, obeyed=driver.asked)


def _without_driver(sweep: Pending) -> Step:
    lease = sweep.lease
    state: SweepState = lease.state  # type: ignore[assignment]
    if sweep.wanted_again:
        return Step("queued")
    if state in ENDS:
        return Step(state, lease.message, lease.starts)
    wound_up = _WOUND_UP.get(sweep.wanted)
    if closes(sweep):
        return Step("queued", lease.message, lease.starts)
    if wound_up is not None:
        same = wound_up == state
        return Step(wound_up, lease.message if same else "", lease.starts, obeyed=sweep.asked)
    return Step("queued", lease.message, lease.starts)


def _state_of(sweep: Pending, driver: Driver) -> SweepState:
    if driver.at_work or driver.phase in ("draining", "finishing"):
        return "running"
    if sweep.wanted == "pause":
        return "paused"
    return "running" if sweep.lease.parallel else "queued"


def _interrupted(sweep: Pending, driver: Driver, why: str) -> Step:
    """A driver has ended in the middle of its work: another one goes on, unless nobody wants that
    any more, or none of them gets as far as a trial, for another reason than a full disk. Where the
    sweep is to end and its driver was lost, another one only closes it."""
    wound_up, tried = _WOUND_UP.get(sweep.wanted), sweep.lease.starts + 1
    lost = driver.outcome is None and sweep.deleted is None
    if lost and sweep.wanted in _ENDING and tried < STARTS:
        return Step("queued", why, tried, settled=True)
    if wound_up is not None:
        return Step(wound_up, why, settled=True, obeyed=sweep.asked)
    full = driver.outcome == NO_SPACE
    starts = 0 if _has_begun(driver) else sweep.lease.starts + (not full)
    if full or starts < STARTS:
        return Step("queued", why, starts, settled=True)
    told = f"{plural(starts, 'driver')} in a row ended before any trial began, the last one: {why}"
    return Step("failed", told, settled=True, obeyed=sweep.asked)


def _has_begun(driver: Driver) -> bool:
    """Whether it has got as far as a trial, of its own or one that goes on."""
    return driver.at_work > 0 or driver.phase not in _NOTHING_DONE


def closes(sweep: Pending) -> bool:
    """Whether a driver is still to be started for it, to close what a lost one has left open."""
    lease = sweep.lease
    is_to_end = sweep.wanted in _ENDING and lease.state not in ENDS
    return is_to_end and sweep.left_open and lease.starts < STARTS


def rests(sweep: Pending, now: float) -> float:
    """For how many more seconds no driver of the sweep is begun: the longer, the more have ended
    before they did anything, and after a full disk always. `now` is in Unix seconds; where it is
    before the last one ended, the clock was set back, and nobody knows how long ago that was."""
    starts, driver = sweep.lease.starts, sweep.driver
    pause = math.ldexp(PAUSE, starts - 1) if starts else 0.0
    if driver is not None and driver.outcome == NO_SPACE:
        pause = max(pause, FULL_PAUSE)
    if not pause or sweep.driven or now < sweep.lease.since:
        return 0.0
    return max(0.0, sweep.lease.since + pause - now)
