"""Steers a driver by what its owner wants of the sweep, and by the lease that the dispatcher gives.

A driver that has nothing to do, since its sweep is paused or waits for its turn, ends after a
while: it goes on in another one when there is something.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweeper.home import Request, SweepFolder
from sweeper.scheduling.conducting.steering import Order, Pulse, Steering
from sweeper.scheduling.working.attempts import place_of
from sweeper.service.driving.post import Post
from sweeper.sweepfile.sections import Limits

IDLE = 120.0
"""Seconds without a trial, and without a lease for one, after which a driver ends."""

_REQUESTS = {"pause": Request.PAUSE, "stop": Request.STOP, "cancel": Request.CANCEL}


class ServiceSteering(Steering):
    """Answers from what the post has last brought."""

    def __init__(
        self, folder: SweepFolder, post: Post, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(folder)
        self._post = post
        self._clock = clock
        self._busy = clock()
        self.obeyed: Request | None = None
        """The last that was answered."""
        self.stood_aside = False
        """Whether it was the driver's own wish to end."""
        self.within: Mapping[str, Any] | None = None
        """The limits that it has last been told; None before that."""
        self._within: Limits | None = None

    def asked(self) -> Request | None:
        word = self._post.word
        idle = word.wanted == "pause" or (word.wanted == "run" and not word.parallel)
        if not idle:
            self._busy = self._clock()
        self.stood_aside |= self._clock() - self._busy > IDLE
        self.obeyed = Request.CANCEL if self.stood_aside else _REQUESTS.get(word.wanted)
        return self.obeyed

    def parallel(self) -> int | None:
        return self._post.word.parallel

    def limits(self) -> Limits:
        told = self._post.word.limits
        if self._within is None or told != self.within:
            self.within, self._within = told, Limits.model_validate(told)
        return self._within

    def orders(self) -> Sequence[Order]:
        self._post.check()
        return self._post.orders

    def done(self, order: Order, outcome: str) -> None:
        self._post.check()
        self._post.done(order, outcome)

    def beat(self, pulse: Pulse) -> None:
        self._post.check()
        if pulse.at_work:
            self._busy = self._clock()
        named = (place_of(self._folder.trial(number)).node for number in pulse.at_work)
        self._post.beat(pulse, Counter(name for name in named if name))
