"""The share of a machine that a trial is given, from what trials of its shape took.

    CPU      1.1 · seconds of CPU a second in which it could have had one
    memory   1.2 · the most bytes it held
    GPU      1 / n,  n = ⌊1 / max(1.2 · its most bytes / those of the GPU, 1.1 · its busy time)⌋

Memory has more headroom than time: who runs out of it fails, who runs short of time waits. Of cores
it does not reach beyond a whole number, for a thread takes one at most. What is given is never more
than a machine has, so that what takes nearly all of one still runs, alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from sweeper.sweepfile.resources import AUTO, Given, Resources

OF_MEMORY, OF_TIME = 1.2, 1.1
"""Headroom: so many times what was seen is given."""

MOST = 48
"""Trials that may share a GPU: as many clients has MPS at most."""

STEP = 20
"""A share of a core is a whole number of parts of so many; by less than one of them a measured
number of cores may be beyond a whole one that was meant."""

ONE = 10_000
"""Ray counts a GPU in so many parts."""

GROWTH = 1.5
"""So many times the memory that it was given is what a trial is believed to take that ran out; and
so many times the most that others took, one whose shape is new."""


Bytes = Annotated[int, Field(ge=0, le=2**60)]
Rate = Annotated[float, Field(ge=0, le=2**20)]


@dataclass(frozen=True)
class Taken:
    """What one trial took.

    `cores` are seconds of CPU a second in which it could have had one, `memory` the most bytes of
    the machine's that its process held. On a GPU of `gpu_total` bytes its tensors held `gpu_memory`
    at most, beside `gpu_context` that every process takes there, and it computed in `gpu_busy` of
    the time, 0 to 1; None of what was not measured.
    """

    cores: Rate = 0.0
    memory: Bytes = 0
    gpu_memory: Bytes = 0
    gpu_total: Bytes = 0
    gpu_context: Bytes | None = None
    gpu_busy: Rate | None = None

    def exceeds(self, other: Taken) -> bool:
        """Whether it took more memory than `other` did, by more than is rounded away."""
        mine, its = (self.memory, self.gpu_memory), (other.memory, other.gpu_memory)
        return any(rounded(one) > rounded(two) for one, two in zip(mine, its, strict=True))

    def after(self, before: Taken) -> Taken:
        """The same; what was not measured of it is as it was `before`."""
        return replace(
            self,
            gpu_total=self.gpu_total or before.gpu_total,
            gpu_context=before.gpu_context if self.gpu_context is None else self.gpu_context,
            gpu_busy=before.gpu_busy if self.gpu_busy is None else self.gpu_busy,
        )


def most_of(taken: Iterable[Taken]) -> Taken:
    """The most of each that trials of one shape took; of GPUs the smallest is reckoned with."""
    seen = list(taken)
    return Taken(
        cores=max(one.cores for one in seen),
        memory=max(one.memory for one in seen),
        gpu_memory=max(one.gpu_memory for one in seen),
        gpu_total=min((one.gpu_total for one in seen if one.gpu_total), default=0),
        gpu_context=max((c for one in seen if (c := one.gpu_context) is not None), default=None),
        gpu_busy=max((b for one in seen if (b := one.gpu_busy) is not None), default=None),
    )


def cautious(seen: Iterable[Taken]) -> Taken | None:
    """What a trial is believed to take of whose shape nobody knows anything, by what others took;
    None without any."""
    if not (others := list(seen)):
        return None
    most = most_of(others)
    return replace(most, memory=int(GROWTH * most.memory), gpu_memory=int(GROWTH * most.gpu_memory))


def share(taken: Taken, asked: Resources, most: Given) -> Given:
    """What a trial is given that takes as much as `taken`, where a machine has at `most` that much
    and its sweep has `asked` for a share."""
    whole = asked.whole
    return Given(
        cpu=min(_cores(taken.cores), most.cpu) if asked.cpu == AUTO else whole.cpu,
        gpu=_part(taken) if asked.gpu == AUTO else whole.gpu,
        memory=min(rounded(OF_MEMORY * taken.memory), most.memory) if asked.cpu == AUTO else 0,
    )


def together(given: Given, machine: Given) -> int:
    """How many trials that are given so much a machine can hold, whose GPUs are shared one by one;
    at least the one that it is known to hold."""
    rooms = [
        math.floor(machine.cpu / given.cpu + 1e-9) if given.cpu else None,
        math.floor(1 / given.gpu + 1e-9) * math.floor(machine.gpu) if given.gpu else None,
        machine.memory // given.memory if given.memory else None,
    ]
    return max(1, min((room for room in rooms if room is not None), default=1))


def ran_out(given: Given, seen: Taken | None) -> Taken:
    """What a trial is believed to take that ran out of what it was `given`, where trials of its
    shape took as much as `seen` before."""
    before = seen or Taken()
    context = before.gpu_context or 0
    held = int(given.gpu * before.gpu_total / OF_MEMORY) - context
    return Taken(
        cores=before.cores,
        memory=max(before.memory, int(GROWTH * given.memory / OF_MEMORY)),
        gpu_memory=max(before.gpu_memory, int(GROWTH * held)),
    ).after(before)


def rounded(count: float) -> int:
    """Bytes, rounded up by at most an eighth: trials whose needs are alike are given the same, so
    that one may have the worker of another."""
    if count <= 0:
        return 0
    unit: int = 1 << max(0, math.ceil(count).bit_length() - 4)
    return math.ceil(count / unit) * unit


def _cores(cores: float) -> float:
    threads = max(1, math.ceil(cores - 1 / STEP))
    return min(threads, max(1, math.ceil(OF_TIME * cores * STEP - 1e-9)) / STEP)


def _part(taken: Taken) -> float:
    """Of a GPU: the whole of it where nothing was seen of what it took there."""
    if not taken.gpu_total:
        return 1.0
    held = taken.gpu_memory + (taken.gpu_context or 0)
    need = max(OF_MEMORY * held / taken.gpu_total, OF_TIME * (taken.gpu_busy or 0.0), 1 / MOST)
    together = max(1, math.floor(1 / need + 1e-9))
    return (ONE // together) / ONE
