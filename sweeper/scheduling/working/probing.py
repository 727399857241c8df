"""A probe: a training that nobody needs is measured, to learn what a trial of its shape takes."""

from __future__ import annotations

import time
from typing import Protocol

from sweeper.sharing.gauges import Gauge
from sweeper.sharing.shares import Taken
from sweeper.sweepfile.resources import Given

STEPS = 10
"""A probe trains so many steps at a time, those before it counts included."""

LEFT = 1000
"""Of the steps of a training so many of the last ones are left when a probe counts."""

SECONDS = 1.0
"""Seconds of steps that a probe watches, where the training is as long."""


class Training(Protocol):
    """What a probe asks of a training."""

    def rehearse(self, steps: int = 1, left: int | None = None) -> bool: ...

    def evaluate(self) -> object: ...


def probe(training: Training, gauge: Gauge, given: Given) -> Taken:
    """Train a training that nobody needs for a while, measure it, and say what it took, with what
    its worker was given."""
    training.rehearse(STEPS)  # the first steps allocate and are no measure
    training.rehearse(STEPS, LEFT)  # what grows takes most at its end
    training.evaluate()  # loads kernels that lie beside the tensors from then on
    with gauge.watching(alone=given.gpu == 1):
        until = time.monotonic() + SECONDS
        while training.rehearse(STEPS) and time.monotonic() < until:
            pass
    return gauge.taken()
