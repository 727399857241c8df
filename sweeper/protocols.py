"""The protocol that a sweep is measured by: which of its values may meet.

Two values are compared, by whatever decides or shows, only where their protocols are `alike`. A
sweep has the protocol of its first evaluation. One that differs stops it, unless the user accepts
the change: then that one is the sweep's from there on, and what was measured before stays in the
record and is compared with nothing that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sweeper.trial import Trial
from trials.metrics.protocol import CONFIGURED as CONFIGURED
from trials.metrics.protocol import FREE as FREE
from trials.metrics.protocol import alike as alike
from trials.metrics.protocol import differing as differing

Protocol = Mapping[str, str]


def present(stored: Protocol | None, measured: Iterable[tuple[float, Protocol]]) -> Protocol:
    """The protocol that a sweep is measured by; an empty one before any distance was measured.

    `stored` is what its study says, None where that says nothing; `measured` has the time and the
    protocol of every evaluation. A version that wrote nothing down had that of the first one. One
    that was written down and never measured by, since a kill came between, does not hold.
    """
    everything = []
    for time, protocol in measured:
        if protocol and stored and alike(stored, protocol):
            return stored  # of thousands of evaluations hardly ever another than the first is read
        everything += [(time, protocol)] if protocol else []
    if not everything:
        return {}
    return (max if stored else min)(everything, key=lambda pair: pair[0])[1]


def measured_in(trials: Iterable[Trial]) -> Iterable[tuple[float, Protocol]]:
    """Time and protocol of every evaluation of these trials."""
    return (
        (evaluation.time, evaluation.protocol)
        for trial in trials
        for evaluation in trial.evaluations
    )
