"""What becomes of a trial whose workers die: deaths speak for the machine and for the trial apart.

The first ones say nothing: the trial goes on from its checkpoint, after a pause that doubles. After
several at the same step there are two explanations. If the machine is at fault, the trial lives on
another one; where there is but one, the base configuration is trained there for a step
(`rehearsal`), and if that dies too, the trial waits. Only a trial that dies on several machines, or
again after a clean rehearsal, is given up. The next run tries it again.

A worker that ended itself because its trial hung (`silence`) has waited long enough: the trial goes
on once, and is given up when it hangs again at the same step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

PATIENCE = 3
"""Deaths at the same step that say nothing yet: where there are more machines, twice as many say
nothing while they are all of one of them."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before a trial goes on after its first death at a step, doubled with each one."""

Verdict = Literal["go on", "rehearse", "give up"]


def pause(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (deaths - 1))


def in_words(step: int, deaths: Mapping[str, int], reason: str) -> str:
    """Why a trial is given up; `reason` is that of the last death."""
    where = " and ".join(filter(None, deaths)) or "this machine"
    told = f"{sum(deaths.values())} workers died under it after step {step}, on {where}"
    return f"{told}; the last time: {reason}"


class Retries:
    """The trials of one sweep whose workers have died. `machines` counts those there are."""

    def __init__(
        self, machines: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._machines = machines
        self._clock = clock
        self._until: dict[int, float] = {}
        self._rehearsed: dict[int, int] = {}
        self._doubted: set[int] = set()

    def died(
        self, number: int, step: int, deaths: Mapping[str, int], *, hung: bool = False
    ) -> Verdict:
        """A worker died under the trial; `deaths` are all of them at this step, by machine. `hung`
        says that it ended itself, for the trial made no progress."""
        count = sum(deaths.values())
        self._until[number] = self._clock() + pause(count)
        if hung:
            return "go on" if count == 1 else "give up"
        if count < PATIENCE:
            return "go on"
        if len(deaths.keys() - {""}) > 1 or self._rehearsed.get(number) == step:
            return "give up"
        if count < 2 * PATIENCE and self._machines() > 1:
            return "go on"
        self._doubted.add(number)
        self._rehearsed[number] = step
        return "rehearse"

    def rest(self, number: int, seconds: float) -> None:
        """The trial is to wait so long before it goes on."""
        self._until[number] = self._clock() + seconds

    def rehearsed(self) -> None:
        """The base configuration trained without harm: the doubted trials have one more chance."""
        self._doubted.clear()

    def rests(self, number: int) -> bool:
        """Whether the trial is to wait before it goes on."""
        return number in self._doubted or self._clock() < self._until.get(number, 0.0)
