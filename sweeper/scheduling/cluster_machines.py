"""The machines of a Ray cluster as somebody sees them who runs nothing on it: what each has, what
of it is free, whose workers are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import ray
from ray.util.state import list_actors

from sweeper.scheduling.jobs import Jobs, JobsUnreachable

_NAMES = ("CPU", "GPU", "memory")
_MANY = 10_000


@dataclass(frozen=True)
class Machine:
    """`total` and `free` are its `CPU`, `GPU` and `memory` (bytes) for Ray, of a dead one nothing;
    `jobs` the ids of the jobs that have workers there."""

    id: str
    name: str
    address: str
    alive: bool
    total: Mapping[str, float] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    jobs: tuple[str, ...] = ()


def machines_of_cluster(address: str, jobs: Jobs | None = None) -> list[Machine]:
    """The machines of the cluster at `address`, by name; with `jobs`, what runs on them too.

    The process needs not be connected to it; where it asks for a token, the environment has it.

    Raises:
        JobsUnreachable: the cluster does not answer.
    """
    try:
        state = ray._private.state.GlobalState()
        state._initialize_global_state(
            ray._raylet.GcsClientOptions.create(
                address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False
            )
        )
        nodes, free = state.node_table(), state.available_resources_per_node()
    except Exception as error:  # what Ray raises of a server that is not there differs by version
        raise JobsUnreachable(f"the Ray cluster at {address} does not answer: {error}") from error
    there = {} if jobs is None else _jobs_by_machine(jobs)
    machines = [
        Machine(
            id=node["NodeID"],
            name=node["NodeManagerHostname"],
            address=node["NodeManagerAddress"],
            alive=node["Alive"],
            total=_of_interest(node["Resources"]),
            free=_of_interest(free.get(node["NodeID"], {})),
            jobs=there.get(node["NodeID"], ()),
        )
        for node in nodes
    ]
    return sorted(machines, key=lambda machine: (machine.name, machine.id))


def _of_interest(resources: Mapping[str, float]) -> dict[str, float]:
    return {name: float(resources[name]) for name in _NAMES if name in resources}


def _jobs_by_machine(jobs: Jobs) -> dict[str, tuple[str, ...]]:
    known, found = jobs.ids(), defaultdict(set)
    try:
        alive = list_actors(
            address=jobs.address, filters=[("state", "=", "ALIVE")], limit=_MANY, timeout=10
        )
    except Exception as error:
        raise JobsUnreachable(f"Ray does not say what runs on its machines: {error}") from error
    for actor in alive:
        if actor["job_id"] in known:
            found[actor["node_id"]].add(known[actor["job_id"]])
    return {machine: tuple(sorted(ids)) for machine, ids in found.items()}
