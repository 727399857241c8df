"""Machines on which no trial is to begin: those that are about to be taken away.

Of a machine that has given notice nothing comes back: it is avoided for good, and where all have,
nothing is handed out until another one joins. A worker that was told to end says less: its machine
is left alone for a while, if there is another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

WHILE = 120.0
"""Seconds for which the machine of a worker that was told to end is left alone: as long as one
usually has from the first SIGTERM to its end."""

Nodes = Callable[[], Mapping[str, str]]
"""The machines on which a trial could run: Ray's id → name. That without an id stands for all that
may yet join."""


class Avoided:
    """Which machines one sweep avoids, by Ray's ids of them."""

    def __init__(self, nodes: Nodes, clock: Callable[[], float] = time.monotonic) -> None:
        self._nodes = nodes
        self._clock = clock
        self._until: dict[str, float] = {}

    def give_notice(self, node: str) -> bool:
        """The machine is about to be taken away. False where that was known."""
        known = self.leaves(node)
        self._until[node] = math.inf
        return not known

    def leave_alone(self, node: str) -> None:
        """A worker on the machine was told to end."""
        if node:
            self._until.setdefault(node, self._clock() + WHILE)

    def leaves(self, node: str) -> bool:
        """Whether the machine has given notice."""
        return self._until.get(node) == math.inf

    def nodes(self, machines: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Those on which nothing is to begin now, in order; with those of these `machines`, by
        name, if others are there: one that may join may never come."""
        now = self._clock()
        self._until = {node: until for node, until in self._until.items() if until > now}
        if not self._until and not machines:
            return ()
        there = {node: name for node, name in self._nodes().items() if node}
        avoided = [node for node in there if node in self._until or there[node] in machines]
        if len(avoided) == len(there):
            avoided = [node for node in avoided if self.leaves(node)]
        return tuple(sorted(avoided))

    @property
    def all_leave(self) -> bool:
        """Whether every machine has given notice."""
        return any(map(self.leaves, self._until)) and all(map(self.leaves, self._nodes()))
