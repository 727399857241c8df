"""Who steers a running driver from outside: what is asked of the sweep, its limits, how many trials
may be at work, what is asked for single trials; and what the driver says of itself meanwhile.

A sweep that runs by itself is steered by the control file in its folder. A service that runs sweeps
for many people derives a steering of its own. The driver asks several times a second, so every
method answers at once, from memory where asking takes time, and none raises but `Superseded`: what
cannot be asked this instant is as it was.

Knows neither Ray nor a database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from sweeper.errors import UserError
from sweeper.home import Request, SweepFolder
from sweeper.scheduling.recording.events import Phase
from sweeper.sweepfile.sections import Limits


@dataclass(frozen=True)
class Order:
    """What somebody asks for a single trial.

    stop       end the trial `number`, which waits or is at work; the study is told why
    retry      try the failed trial `number` again, from its last checkpoint, or, where the payload
               has `anew` true, from nothing
    enqueue    run a configuration of one's own: the payload has a value for each path that is not
               to be left to the sampler

    `id` names it for ever: an order that is given twice is obeyed once. `reason` and `by` are the
    words and the name of whoever gave it.
    """

    id: str
    kind: Literal["stop", "retry", "enqueue"]
    number: int | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    by: str = ""


@dataclass(frozen=True)
class Pulse:
    """How a driver is: the numbers of the trials at work, how many are over, what the sweep has
    used so far in all its runs, what it does now, and how many trials could be at work if a lease
    allowed them all."""

    at_work: tuple[int, ...]
    over: int
    gpu_seconds: float
    cpu_seconds: float
    phase: Phase
    could: int


class Steering:
    """Steers a sweep by the control file in its folder, with no lease and no orders."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._asked: Request | None = None

    def asked(self) -> Request | None:
        """What the sweep is to do: pause, stop or cancel; None: go on.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        # A file that another user has left, or that holds no request, changes nothing.
        with suppress(OSError, UserError):
            self._asked = self._folder.asked()
        return self._asked

    def parallel(self) -> int | None:
        """How many trials may be at work now, at most as many as the sweep's file says; None: so
        many.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        return None

    def limits(self) -> Limits | None:
        """The sweep's limits, as they are now; None: as they were when it began to run.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        return None

    def orders(self) -> Sequence[Order]:
        """Those that are to be obeyed, in the order in which they were given: each until `done`.

        Raises:
            Superseded: a newer driver has the sweep.
        """
        return ()

    def done(self, order: Order, outcome: str) -> None:
        """The order was obeyed, or could not be; `outcome` says it in a sentence.

        Raises:
            Superseded: a newer driver has the sweep.
        """

    def beat(self, pulse: Pulse) -> None:
        """The driver is alive, and so is what it does; called about once a second, and once
        when no more trials will run.

        Raises:
            Superseded: a newer driver has the sweep.
        """


def by_control_file(folder: SweepFolder, unpause: bool) -> Steering:
    """Steering of a run by its folder's file. Running again overrides what was asked and obeyed; a
    pause only where it is to `unpause`."""
    asked = folder.asked()
    if asked in (Request.STOP, Request.CANCEL) or (asked is Request.PAUSE and unpause):
        folder.clear_request()
    return Steering(folder)
