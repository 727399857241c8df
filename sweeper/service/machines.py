"""The machines of the cluster, as the process that serves gets to know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Machine(Protocol):
    """One machine: what it has in all and what of it is free, by `CPU`, `GPU` and `memory` (bytes);
    `jobs` are the ids of the jobs that have workers there."""

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
    def jobs(self) -> Sequence[str]: ...


Machines = Callable[[], Sequence[Machine]]
"""Asks the cluster; raises a SweeperError where it does not answer."""
