"""The machines of the cluster, as the process that serves gets to know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Gpu(Protocol):
    """One GPU: its number on its machine, bytes of memory and how many of them are taken, and in
    which part of the last while it was busy, 0 to 1, where that is known."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def memory(self) -> float: ...
    @property
    def memory_used(self) -> float: ...
    @property
    def busy(self) -> float | None: ...


class Machine(Protocol):
    """One machine: what it has in all, what of it is free and what other programs than this service
    have, by `CPU`, `GPU` and `memory` (bytes); `jobs` are the ids of the jobs that have workers
    there, and `gpus` its GPUs as they are now, none where that is not known."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def alive(self) -> bool: ...
    @property
    def total(self) -> Mapping[str, float]: ...
    @property
    def free(self) -> Mapping[str, float]: ...
    @property
    def others(self) -> Mapping[str, float]: ...
    @property
    def jobs(self) -> Sequence[str]: ...
    @property
    def gpus(self) -> Sequence[Gpu]: ...


Machines = Callable[[], Sequence[Machine]]
"""Asks the cluster; raises a SweeperError where it does not answer."""
