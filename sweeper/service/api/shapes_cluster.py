"""The queue and the machines, as the API tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sweeper.service.api.shape import Number, Shape
from sweeper.service.states import Priority, SweepState

if TYPE_CHECKING:
    from sweeper.service.machines import Machine
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


class MachineShape(Shape):
    """A machine of the cluster."""

    id: str
    name: str
    address: str
    alive: bool
    cpus: Number
    cpus_free: Number
    gpus: Number
    gpus_free: Number
    memory: Number
    """Bytes that trials may have."""
    memory_free: Number
    sweeps: list[str]
    """Sweeps that have workers there."""

    @classmethod
    def of(cls, machine: Machine, names: dict[str, str]) -> Self:
        """That of a machine; `names` are the sweeps of jobs."""
        total, free = machine.total, machine.free
        return cls(
            id=machine.id,
            name=machine.name,
            address=machine.address,
            alive=machine.alive,
            cpus=total.get("CPU", 0.0),
            cpus_free=free.get("CPU", 0.0),
            gpus=total.get("GPU", 0.0),
            gpus_free=free.get("GPU", 0.0),
            memory=total.get("memory"),
            memory_free=free.get("memory"),
            sweeps=sorted(names[job] for job in machine.jobs if job in names),
        )
