"""GPUs that are wrong are kept from everybody: a guard holds each of them while the sweep runs.

Ray itself says which GPU of a machine a worker gets, always the first one that is free, and cannot
be told to leave one out. So an actor asks for a GPU of that machine; where it gets another one it
holds that, and the next actor asks, until one has the GPU that is wrong. The others then end. What
trains on that GPU stands aside at its next evaluation (`HandOut.makes_way`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.scheduling.machines.avoided import Nodes
from sweeper.scheduling.machines.places import Place

LOOK_EVERY = 2.0
"""Seconds between two looks."""

PATIENCE = 30.0
"""Seconds for which guards hold other GPUs while the one that is wrong does not get free."""

AGAIN_IN = 120.0
"""Seconds until the next try after that."""


class _Guard:
    def gpus(self) -> tuple[str, ...]:
        return tuple(ray.get_runtime_context().get_accelerator_ids().get("GPU", ()))


@dataclass
class _Watch:
    """The guards of one GPU: those that have got another one, and the last, with its answer.
    `since` is when that began to ask, and `rests` until when none asks."""

    others: list[Any] = field(default_factory=list)
    guard: Any = None
    answer: Any = None
    since: float = 0.0
    rests: float = 0.0
    done: bool = False

    def end(self) -> None:
        """Give back what they hold."""
        for guard in (*self.others, self.guard):
            if guard is not None:
                ray.kill(guard)
        self.others, self.guard, self.answer = [], None, None


class Guards:
    """Guards the GPUs that are `wrong`, on machines of these `nodes`."""

    def __init__(self, wrong: Callable[[], Set[Place]], nodes: Nodes) -> None:
        self._wrong = wrong
        self._nodes = nodes
        self._watches: dict[tuple[str, Place], _Watch] = {}
        self._next = 0.0

    def look(self) -> None:
        """Get on with guarding, at most every few seconds; nothing waits here."""
        wrong = [device for device in self._wrong() if device.gpus]
        if not wrong or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_EVERY
        there = self._nodes()
        for device in wrong:
            for node in (one for one, name in there.items() if name == device.machine):
                watch = self._watches.setdefault((node, device), _Watch())
                if not watch.done:
                    _get_on(watch, node, device)

    def holds(self, device: Place) -> bool:
        """Whether the GPU is guarded."""
        return any(watch.done for (_, one), watch in self._watches.items() if one == device)

    def close(self) -> None:
        """Give back what they hold."""
        for watch in self._watches.values():
            watch.end()
        self._watches.clear()


def _get_on(watch: _Watch, node: str, device: Place) -> None:
    now = time.monotonic()
    if now < watch.rests:
        return
    if watch.guard is not None:
        if not ray.wait([watch.answer], timeout=0)[0]:
            if watch.others and now > watch.since + PATIENCE:
                watch.end()
                watch.rests = now + AGAIN_IN
            return
        try:
            watch.done = ray.get(watch.answer) == device.gpus
        except ray.exceptions.RayError:  # it died, with its machine perhaps
            watch.guard = watch.answer = None
            return
        if watch.done:
            for other in watch.others:
                ray.kill(other)
            watch.others.clear()
            return
        watch.others.append(watch.guard)
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    asked = ray.remote(_Guard).options(num_cpus=0, num_gpus=1, scheduling_strategy=there)
    watch.since, watch.guard = now, asked.remote()
    watch.answer = watch.guard.gpus.remote()
