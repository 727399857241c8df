"""How far a measurement is, in words, for those that take minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

Tell = Callable[[str], object]
"""Hears a word on how far it is, as often as there is one."""

SECONDS = 10.0
"""Between two lines on one measurement."""


def quiet(said: str) -> None:
    """Nobody listens."""


class Throttled:
    """Passes on a word in every ten seconds of a measurement, and none of one that takes less."""

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Another measurement begins."""
        self._last = self._clock()

    def __call__(self, said: str) -> None:
        if self._clock() - self._last >= SECONDS:
            self._last = self._clock()
            self._tell(said)
