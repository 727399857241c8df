"""What a trial's weights went through: its own training, or another one's first.

Under population based training a trial goes on from another's checkpoint, which may have come from
a third. What it was before that is gone from its weights, and from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from sweeper.search import attributes


@dataclass(frozen=True)
class Segment:
    """A stretch of training of trial `number`: by `config`, from where the one before it ended up
    to the step `until`. What is measured up to the step `after` was measured before it."""

    number: int
    config: Mapping[str, Any]
    until: int
    after: int = 0


def lineage_of(get: Callable[[int], FrozenTrial], number: int, until: int) -> tuple[Segment, ...]:
    """The segments that trial `number` consists of when it has been trained up to `until`.

    A checkpoint is kept for others before its own trial takes another one over at that step.
    """
    attrs = get(number).user_attrs
    taken = {step: donor for step, donor in attributes.donors(attrs).items() if step < until}
    if not taken:
        return (Segment(number, attrs.get("config", {}), until),)
    step = max(taken)
    donor = taken[step]
    before = lineage_of(get, donor["number"], donor["step"])
    return (*before, Segment(number, donor["config"], until, max(step, donor["step"])))
