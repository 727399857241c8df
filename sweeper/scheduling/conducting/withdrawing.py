"""What was handed out, and has no place on Ray yet, is taken back where it is to have none.

On a cluster that grows, a trial waits for minutes until its machine has come, and longer where the
cloud has none to give. If the lease shrinks meanwhile, or the sweep is paused or comes to its end,
Ray must not be asked for that machine any more; and the worker of another trial, which makes room,
must not go to one that waits. Which machines it is to avoid, Ray was told once and for all: when
they are others, it is taken back too, and handed out anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sweeper.scheduling.conducting.errands import Errands
from sweeper.scheduling.conducting.halting import Halting
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.conducting.setbacks import Setbacks
from sweeper.scheduling.working.messages import Work

LOOK_EVERY = 5.0
"""Seconds between two looks at whether what waits would be sent elsewhere now."""


class Withdrawing:
    """Takes back what one sweep has handed out."""

    def __init__(
        self,
        halting: Halting,
        trials: HandOut,
        errands: Errands,
        setbacks: Setbacks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._halting = halting
        self._trials = trials
        self._errands = errands
        self._setbacks = setbacks
        self._clock = clock
        self._avoid: dict[int, tuple[str, ...]] = {}
        self._next_look = 0.0

    def placed(self, work: Work) -> Work:
        """The work that is handed out, with the machines on which it is not to be done."""
        self._trials.not_idle()
        avoid = self._avoid[work.number] = self._setbacks.to_avoid(work.number)
        return replace(work, avoid=avoid)

    def taken_back(self, waiting: Sequence[int]) -> list[int]:
        """Which of these, that wait for a place, are to have none: those that are over already,
        and of the others the latest trials where fewer may be at work, and errands last; and those
        that wait in the wrong place. Trials go on as soon as they may."""
        over = [one for one in waiting if one >= 0 and one not in self._trials.active]
        self._trials.leaving.difference_update(over)
        others = sorted(set(waiting).difference(over), reverse=True)
        beyond = self._trials.beyond(self._errands.active)
        back = others if self._halting.stands else others[: max(0, beyond)]
        back += self._misplaced(others[len(back) :])
        for number in back:
            if number < 0:
                self._errands.withdraw(number)
            else:
                self._trials.stand_aside(number)
        return [*over, *back]

    def _misplaced(self, waiting: Sequence[int]) -> list[int]:
        """Those of these that would be kept from other machines now than Ray was told, and those
        that were to have a machine alone which is gone."""
        self._avoid = {one: self._avoid[one] for one in waiting if one in self._avoid}
        if self._clock() < self._next_look:
            return []
        self._next_look = self._clock() + LOOK_EVERY
        there, alone = self._setbacks.machines(), self._trials.alone
        return [
            one
            for one, avoid in self._avoid.items()
            if alone.lost_its_machine(one, there) or avoid != self._setbacks.to_avoid(one)
        ]
