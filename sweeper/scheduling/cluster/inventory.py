"""The machines of a Ray cluster as somebody sees them who runs nothing on it: what each has, what
of it is free, who has the rest, and what its GPUs do.

Who has it follows from two of the head's tables. Each machine names among its resources the
placement groups that have a part of them, and a group's id ends with that of the job it is for; the
actors outside of any group say themselves what they have and for whom. Whatever else is taken,
such as by tasks, is other people's: this service takes nothing in another way.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import ray._private.ray_constants as ray_constants
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import gcs_service_pb2 as messages
from ray.core.generated import gcs_service_pb2_grpc as services
from ray.core.generated.gcs_pb2 import ActorTableData, GcsNodeInfo

from sweeper.scheduling.cluster.gpus import Gpu, gpus_of_machines
from sweeper.scheduling.cluster.jobs import OWNER, Jobs, JobsUnreachable

TRIES = 3
"""How often a head is asked that does not answer: a busy one, or one that has just started, may."""

AGAIN_IN = 0.5
"""Seconds from a try to the next."""

ANSWER_IN = 10.0
"""Seconds for one answer."""

_NAMES = ("CPU", "GPU", "memory")
_OF_A_GROUP = re.compile(rf"({'|'.join(_NAMES)})_group_[0-9a-f]{{28}}([0-9a-f]{{8}})")
_SUBMISSION = "job_submission_id"

Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Machine:
    """`total` and `free` are its `CPU`, `GPU` and `memory` (bytes) for Ray, of a dead one nothing;
    `others` what of that programs have that are none of the owner's who asks. `jobs` are the ids
    under which jobs were submitted that have workers there; `gpus` is empty where nobody tells."""

    id: str
    name: str
    address: str
    alive: bool
    total: Amounts = field(default_factory=dict)
    free: Amounts = field(default_factory=dict)
    others: Amounts = field(default_factory=dict)
    jobs: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()


class ClusterMachines:
    """The machines of the cluster at `address`. Whose jobs are not `owner`'s, as given to
    `Jobs.submit`, is one of the others.

    The process needs not be connected to it; where it asks for a token, the environment has it. May
    be used from several threads.
    """

    def __init__(self, address: str, owner: str) -> None:
        self._address = address
        self._owner = owner
        self._known: dict[str, Mapping[str, str]] = {}  # what never changes: the metadata of jobs

    def look(self, jobs: Jobs | None = None) -> list[Machine]:
        """All of them, by name; with `jobs`, the state of their GPUs too.

        Raises:
            JobsUnreachable: the cluster does not answer.
        """
        gpus = gpus_of_machines(jobs) if jobs is not None else {}
        for tried in range(1, TRIES + 1):
            try:
                with _Tables(self._address) as head:
                    found = list(self._look(head, gpus))
            except grpc.RpcError as error:
                self._known = {}  # another head counts its jobs anew
                if tried == TRIES:
                    told = f"the Ray cluster at {self._address} does not answer: {error.details()}"
                    raise JobsUnreachable(told) from error
                time.sleep(AGAIN_IN)
            else:
                return sorted(found, key=lambda machine: (machine.name, machine.id))
        raise AssertionError  # the last try has returned or raised

    def _look(self, head: _Tables, gpus: Mapping[str, tuple[Gpu, ...]]) -> Iterator[Machine]:
        total, free, actors = head.totals(), head.free(), head.actors()
        for key, node in head.nodes().items():
            has, left = total.get(key, {}), free.get(key, {})
            # By Ray's id of the job: what it has there, if no more than a worker.
            held: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
            for name, amount in has.items():
                if group := _OF_A_GROUP.fullmatch(name):
                    held[group[2]][group[1]] += amount
            for job, amounts in actors.get(key, ()):
                for name in _NAMES:
                    held[job][name] += amounts.get(name, 0.0)
            known = self._jobs(head, held)
            ours = [job for job in held if known[job].get(OWNER) == self._owner]
            taken = {name: sum(held[job][name] for job in ours) for name in _NAMES}
            there = {known[job][_SUBMISSION] for job in held if _SUBMISSION in known[job]}
            yield Machine(
                id=key,
                name=node.node_manager_hostname,
                address=node.node_manager_address,
                alive=node.state == GcsNodeInfo.ALIVE,
                total=_of_interest(has),
                free=_of_interest(left),
                others={
                    name: max(0.0, round(amount - left.get(name, 0.0) - taken[name], 4))
                    for name, amount in _of_interest(has).items()
                },
                jobs=tuple(sorted(there)),
                gpus=gpus.get(key, ()),
            )

    def _jobs(self, head: _Tables, wanted: Mapping[str, object]) -> Mapping[str, Mapping[str, str]]:
        """The metadata of these jobs. All there ever were are read only where one is new."""
        known = self._known
        if not wanted.keys() <= known.keys():
            known = self._known = {**{job: {} for job in wanted}, **head.jobs()}
        return known


class _Tables:
    """The head's tables, over a connection of its own in a `with` block.

    Ray's own client of its head would end this process, a service, a minute after the head has died
    in the middle of an answer, and wait without end for a head that is frozen.
    """

    def __init__(self, address: str) -> None:
        size = ("grpc.max_receive_message_length", ray_constants.GRPC_CPP_MAX_MESSAGE_SIZE)
        self._channel = init_grpc_channel(address, (*ray_constants.GLOBAL_GRPC_OPTIONS, size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def nodes(self) -> dict[str, Any]:
        """Those that live, and some that did, by their ids."""
        ask = services.NodeInfoGcsServiceStub(self._channel).GetAllNodeInfo
        answer = ask(messages.GetAllNodeInfoRequest(), timeout=ANSWER_IN)
        return {node.node_id.hex(): node for node in answer.node_info_list}

    def totals(self) -> dict[str, dict[str, float]]:
        """What each machine has, by its id; what groups have of it counts once more."""
        ask = services.NodeResourceInfoGcsServiceStub(self._channel).GetAllTotalResources
        answer = ask(messages.GetAllTotalResourcesRequest(), timeout=ANSWER_IN)
        return {row.node_id.hex(): dict(row.resources_total) for row in answer.resources_list}

    def free(self) -> dict[str, dict[str, float]]:
        """What of it is free."""
        ask = services.NodeResourceInfoGcsServiceStub(self._channel).GetAllAvailableResources
        answer = ask(messages.GetAllAvailableResourcesRequest(), timeout=ANSWER_IN)
        return {row.node_id.hex(): dict(row.resources_available) for row in answer.resources_list}

    def actors(self) -> dict[str, list[tuple[str, Amounts]]]:
        """Of those that live, by machine: Ray's id of their job, and what they have outside of any
        placement group."""
        ask = services.ActorInfoGcsServiceStub(self._channel).GetAllActorInfo
        alive = messages.GetAllActorInfoRequest.Filters(state=ActorTableData.ALIVE)
        answer = ask(messages.GetAllActorInfoRequest(filters=alive), timeout=ANSWER_IN)
        found: dict[str, list[tuple[str, Amounts]]] = defaultdict(list)
        for actor in answer.actor_table_data:
            in_a_group = actor.placement_group_id.strip(b"\xff")
            has = {} if in_a_group else dict(actor.required_resources)
            found[actor.node_id.hex()].append((actor.job_id.hex(), has))
        return found

    def jobs(self) -> dict[str, Mapping[str, str]]:
        """Of all that there ever were: Ray's id → what was said of each when it was submitted."""
        ask = services.JobInfoGcsServiceStub(self._channel).GetAllJobInfo
        asked = messages.GetAllJobInfoRequest(
            skip_submission_job_info_field=True, skip_is_running_tasks_field=True
        )
        answer = ask(asked, timeout=ANSWER_IN)
        return {job.job_id.hex(): dict(job.config.metadata) for job in answer.job_info_list}


def _of_interest(resources: Amounts) -> dict[str, float]:
    return {name: float(resources[name]) for name in _NAMES if name in resources}
