"""One process on each machine of a cluster that waits for a notice of its end (`eviction`).

It costs Ray no CPU, but keeps its machine from being idle: where a cluster grows and shrinks, only
machines with trials have one. When it has had a notice it leaves a file on its machine, which the
workers there look for after every step, and ends; so the driver hears of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.scheduling.machines.avoided import Nodes
from sweeper.scheduling.machines.eviction import Notices, Unheard

ASK_EVERY = 5.0
"""Seconds between two questions: what Amazon recommends, and a sixth of the shortest notice."""

TRIES = 3
"""Questions in a row that may go unanswered before any was answered, until nobody asks any more."""

LOOK_EVERY = 2.0
"""Seconds between two looks of the driver's at what the machines have said."""

WHILE = 60.0
"""Seconds for which a machine is watched without a trial: the next one may begin there."""


class Watching:
    """The watchers of one cluster. `heard` is told Ray's id of a machine that has given notice, its
    name and the notice; `deaf` the name of one where nobody answers, and what came instead. A
    machine that is none of `nodes` for a while is watched no more."""

    def __init__(
        self,
        notices: Notices,
        run: str,
        nodes: Nodes,
        heard: Callable[[str, str, str], None],
        deaf: Callable[[str, str], None],
    ) -> None:
        self._notices = notices
        self._run = run
        self._nodes = nodes
        self._heard = heard
        self._deaf = deaf
        self._watchers: dict[str, Any] = {}
        self._unheard: set[str] = set()
        self._wanted: dict[str, float] = {}
        self._next = 0.0

    def look(self) -> None:
        """See what there is to hear, at most every few seconds, and watch machines that are new."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_EVERY
        there = self._nodes()
        self._let_go(there)
        for node in there:
            if node not in self._watchers and node not in self._unheard:
                self._watchers[node] = _start(self._notices, node, marker(self._run, node))
        for node, watcher in self._watchers.items():
            if watcher is None or not ray.wait([watcher], timeout=0)[0]:
                continue
            self._watchers[node] = None
            try:
                notice, fault = ray.get(watcher)
            except ray.exceptions.RayError:
                if node in there:  # only the watcher has died
                    del self._watchers[node]
                    return
            else:
                if fault:
                    self._unheard.add(node)
                    self._deaf(there.get(node, node), fault)
                else:
                    self._heard(node, there.get(node, node), notice)

    def _let_go(self, there: Collection[str]) -> None:
        """End those who watch a machine that was not among these for a while."""
        now = time.monotonic()
        self._wanted.update(dict.fromkeys(there, now))
        for node in [node for node, last in self._wanted.items() if now - last > WHILE]:
            del self._wanted[node]
            if (watcher := self._watchers.pop(node, None)) is not None:
                ray.cancel(watcher, force=True)


def marker(run: str, node: str) -> Path:
    """The file on a machine that says to the workers of a run that they are to leave it."""
    return Path(tempfile.gettempdir()) / f"sweeper-leaving-{run}-{node}"


def watch(notices: Notices, file: Path) -> tuple[str, str]:
    """Wait for a notice, and leave it in the file. Returns it, or why nobody could be asked."""
    answered, tries = False, 0
    while True:
        try:
            notice = notices.look()
        except Unheard as error:
            tries += 1
            if not answered and tries == TRIES:
                return "", str(error)
        else:
            answered = True
            if notice:
                file.write_text(notice, encoding="utf-8")
                return notice, ""
        time.sleep(ASK_EVERY)


def _start(notices: Notices, node: str, file: Path) -> Any:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0)(watch)
    return task.options(scheduling_strategy=there).remote(notices, file)
