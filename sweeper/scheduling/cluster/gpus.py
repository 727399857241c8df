"""The GPUs of a cluster's machines as their own drivers tell of them: Ray's agent on each machine
asks there, and its server for jobs has what the agents have said. What it does not have, such as
that of a machine without a GPU, is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.scheduling.cluster.jobs import Jobs

_PATH = "/nodes?view=summary"
_MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """One GPU: its number on its machine, how many bytes of memory it has and how many of them are
    taken, by whomever, and in which part of the last while it was busy, 0 to 1, where that is
    known."""

    index: int
    name: str
    memory: float
    memory_used: float
    busy: float | None = None


def gpus_of_machines(jobs: Jobs) -> dict[str, tuple[Gpu, ...]]:
    """The GPUs of each machine that has some, by Ray's id of the machine.

    Raises:
        JobsUnreachable: Ray's server does not answer.
    """
    answer = jobs.ask(_PATH)
    nodes = answer.get("data", {}).get("summary", ()) if isinstance(answer, dict) else ()
    found = {}
    for node in nodes:
        key = node.get("raylet", {}).get("nodeId", "")
        gpus = tuple(_gpu(told) for told in node.get("gpus") or ())
        if key and gpus:
            found[key] = tuple(sorted(gpus, key=lambda gpu: gpu.index))
    return found


def _gpu(told: Mapping[str, Any]) -> Gpu:
    busy = told.get("utilizationGpu")
    return Gpu(
        index=int(told["index"]),
        name=str(told["name"]),
        memory=float(told["memoryTotal"]) * _MIB,
        memory_used=float(told["memoryUsed"]) * _MIB,
        busy=None if busy is None else float(busy) / 100,
    )
