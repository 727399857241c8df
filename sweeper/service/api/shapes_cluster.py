"""The queue and the machines, as the API tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sweeper.service.api.shape import Number, Shape
from sweeper.service.states import Priority, SweepState

if TYPE_CHECKING:
    from sweeper.service.machines import Gpu, Machine
    from sweeper.service.state.sweeps import Entry


class PlaceShape(Shape):
    """A sweep that waits or runs: its place, and what keeps it from running more."""

    name: str
    owner: str
    priority: Priority
    state: SweepState
    since: Number
    place: int | None
    """How many are before it; null where it does not wait."""
    parallel: int
    """How many trials it may run at the same time now."""
    at_work: int
    """How many it runs."""
    reason: str
    """Whose turn it is, which quota, or which machine is missing, in words."""
    expected: Number
    """About when it gets its turn, in Unix seconds."""

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """That of a sweep."""
        sweep, lease, driver = entry.sweep, entry.lease, entry.driver
        return cls(
            name=sweep.name,
            owner=entry.owner.name,
            priority=sweep.priority,
            state=lease.state,
            since=lease.since,
            place=lease.place,
            parallel=lease.parallel,
            at_work=driver.at_work if driver else 0,
            reason=lease.reason,
            expected=lease.expected,
        )


class GpuShape(Shape):
    """A GPU, as its own driver tells of it."""

    index: int
    name: str
    memory: Number
    """Bytes."""
    memory_used: Number
    """Bytes that are taken, by whichever program."""
    busy: Number
    """In which part of the last while it was busy, 0 to 1; null where that is not known."""

    @classmethod
    def of(cls, gpu: Gpu) -> Self:
        """That of a GPU."""
        return cls(
            index=gpu.index,
            name=gpu.name,
            memory=gpu.memory,
            memory_used=gpu.memory_used,
            busy=gpu.busy,
        )


class MachineShape(Shape):
    """A machine of the cluster."""

    id: str
    name: str
    address: str
    alive: bool
    cpus: Number
    cpus_free: Number
    cpus_others: Number
    """CPUs that programs other than this service's sweeps have."""
    gpus: Number
    gpus_free: Number
    gpus_others: Number
    """GPUs that such programs have."""
    memory: Number
    """Bytes that trials may have."""
    memory_free: Number
    devices: list[GpuShape]
    """Its GPUs as they are now; none where that is not known."""
    sweeps: list[str]
    """Sweeps that have workers there."""

    @classmethod
    def of(cls, machine: Machine, names: dict[str, str]) -> Self:
        """That of a machine; `names` are the sweeps of jobs."""
        total, free, others = machine.total, machine.free, machine.others
        return cls(
            id=machine.id,
            name=machine.name,
            address=machine.address,
            alive=machine.alive,
            cpus=total.get("CPU", 0.0),
            cpus_free=free.get("CPU", 0.0),
            cpus_others=others.get("CPU", 0.0),
            gpus=total.get("GPU", 0.0),
            gpus_free=free.get("GPU", 0.0),
            gpus_others=others.get("GPU", 0.0),
            memory=total.get("memory"),
            memory_free=free.get("memory"),
            devices=[GpuShape.of(gpu) for gpu in machine.gpus],
            sweeps=sorted(names[job] for job in machine.jobs if job in names),
        )
