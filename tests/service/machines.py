"""A machine of a cluster, as the service is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Gpu:
    index: int
    name: str
    memory: float
    memory_used: float
    busy: float | None = None


@dataclass(frozen=True)
class Machine:
    """With one GPU that is whole and one that is a slice, of which its driver tells less."""

    id: str = "1"
    name: str = "head"
    address: str = "10.0.0.1"
    alive: bool = True
    total: Mapping[str, float] = field(
        default_factory=lambda: {"CPU": 8.0, "GPU": 2.0, "memory": 2e9}
    )
    free: Mapping[str, float] = field(default_factory=lambda: {"CPU": 6.0, "GPU": 1.5})
    others: Mapping[str, float] = field(default_factory=lambda: {"CPU": 1.0, "GPU": 0.5})
    jobs: tuple[str, ...] = ("small-1", "another")
    gpus: tuple[Gpu, ...] = (Gpu(0, "H200", 2**37, 2**36, 0.25), Gpu(1, "MIG", 2**33, 0.0))
