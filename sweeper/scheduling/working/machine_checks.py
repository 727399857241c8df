"""Do all machines of a Ray cluster see the sweep's folder, and run the same code and parts?

A trial's checkpoints and samples are files in that folder: on a machine that has only a folder of
the same name, a training would seem to go well, and leave everything it made there. So the driver
leaves a mark in the folder, asks every machine for it before the first trial, and each worker looks
for it when it begins a trial, since machines may join later. Where trials publish in a bucket, the
mark lies there, and every machine must get at that; a worker then finds out by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.bucket.store import Store
from sweeper.errors import SweeperError, UserError
from sweeper.foreign_parts import ForeignParts
from sweeper.home import SweepFolder, writing
from sweeper.scheduling.cluster.room import Room
from sweeper.scheduling.working.failures import DISK_FULL, NOT_SHARED, DiskFull
from sweeper.scheduling.working.messages import Failure, Work
from sweeper.sweepfile.resources import Given
from trials.distributions import OURS, version_of
from trials.files import atomic_write

ANSWER_IN = 60.0
"""Seconds for the machines to answer. A busy one may take longer: then its workers will say so."""

ALIKE = 0.95
"""The part of a machine's memory that one like it has at least: of two of a kind, Ray counts some
bytes more on one."""


_VERSION = version_of(OURS)
"""That of this process, whatever is installed while it runs."""


class NotShared(SweeperError):  # noqa: N818 - what happened
    """A machine of the cluster does not see the sweep's folder, or runs other code."""


class Outdated(NotShared):
    """Another version has been installed since this driver began; a driver of it can go on."""


@dataclass(frozen=True)
class Mark:
    """What every machine must have: a file in the sweep's folder, new for each run of the driver,
    with what it holds, and the driver's versions of the distributions that a training uses."""

    file: str
    text: str
    versions: Mapping[str, str]

    @classmethod
    def leave(
        cls, folder: SweepFolder, foreign: ForeignParts | None = None, bucket: str = ""
    ) -> Mark:
        """Write the mark of a driver that runs a sweep with these parts of other people; `bucket`
        is the address that its trials publish at.

        Raises:
            BucketError: it cannot be written there.
        """
        versions = {OURS: _VERSION, **(foreign.distributions if foreign else {})}
        text = uuid.uuid4().hex
        if bucket:
            Store(bucket).write(folder.driver_mark.name, text.encode())
            return cls(f"{bucket}/{folder.driver_mark.name}", text, versions)
        with writing(folder.path):
            atomic_write(folder.driver_mark, text)
        return cls(str(folder.driver_mark), text, versions)

    @property
    def published(self) -> bool:
        """Whether it lies in a bucket."""
        return "://" in self.file

    def fault(self, machine: str) -> str:
        """Why no trial may run on this machine, which is called `machine`; empty if one may."""
        seen, versions = _looker()("" if self.published else self.file, tuple(self.versions))
        return self.fault_of(machine, self.text if self.published else seen, versions)

    def fault_of(self, machine: str, seen: str, versions: Mapping[str, str]) -> str:
        """Why no trial may run where the mark's file holds `seen` and these versions are."""
        for name, mine in self.versions.items():
            if (theirs := versions[name]) != mine:
                has = f"{name} {theirs}" if theirs else f"no {name}"
                ours = mine or "a checkout"
                return f"{machine} has {has}, but this machine has {ours}: install the same"
        if seen != self.text and self.published:
            return (
                f"{machine} cannot read {self.file} ({seen or 'it is empty'}): every machine needs "
                "what reads it (an extra of gan-sweeper), a way there, and leave to read and write"
            )
        if seen != self.text:
            return (
                f"{machine} does not see {Path(self.file).parent}, where trials keep their "
                "checkpoints: give --home a folder that all machines of the cluster share"
            )
        return ""


def check_machines(mark: Mark, room: Room) -> None:
    """Refuse a cluster in which a trial could run where its files are lost, or by other code.

    A machine without `room` for a trial, a head that only directs, need see nothing; of those that
    join later each worker finds out by itself.

    Raises:
        UserError: it names every other such machine and what is wrong there.
    """
    mine = ray.get_runtime_context().get_node_id()
    others = {
        node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in room.nodes()
        if node["NodeID"] != mine
    }
    if not others:
        return
    asked = {
        ray.remote(num_cpus=0, max_retries=0)(_looker())
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(mark.file, tuple(mark.versions)): name
        for node, name in others.items()
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_IN)
    told = {_fault(answer, asked[answer], mark) for answer in answered}
    faults = sorted(fault for fault in told if fault)
    if faults:
        raise UserError("this Ray cluster cannot run the sweep:\n  " + "\n  ".join(faults))


def check_machine(failure: Failure) -> None:
    """See that what a worker reports is not its machine's fault, which ends the sweep and no trial.

    Raises:
        DiskFull: there is no room left.
        NotShared: its machine does not see the folder, or runs other code; Outdated where it is
            this driver whose version is not that which is installed.
    """
    if failure.cause == DISK_FULL:
        raise DiskFull(
            f"{failure.reason}: make room, then run the sweep again; it continues where it stopped"
        )
    if failure.cause == NOT_SHARED:
        kind = Outdated if version_of(OURS) != _VERSION else NotShared
        raise kind(f"{failure.reason}, then run the sweep again; nothing is lost")


def require_gpu(gpus: Sequence[str], device: object) -> None:
    """That CUDA sees a GPU in a worker that Ray has given some: a training would take the CPU
    without a word, and hold them.

    Raises:
        RuntimeError: it does not; its words are those of a device that is wrong.
    """
    import torch

    if gpus and device != "cpu" and torch.version.cuda and not torch.cuda.is_available():
        raise RuntimeError(
            f"CUDA sees no GPU here, although Ray assigned number {', '.join(gpus)}: see what "
            "`nvidia-smi` says on that machine"
        )


def needs(
    work: Work,
    machines: Callable[[], Mapping[str, Given]],
    whole: Callable[[int, Mapping[str, Given]], str],
) -> dict[str, Any]:
    """What Ray is to give a worker for this work: what it is `given`, on none of the machines that
    it is to `avoid`. Where it is to be alone, a whole GPU; and where it has none, all CPUs of the
    machine that `whole` chooses for it among these, on that one or one like it."""
    given = {**asdict(work.given), "avoid": work.avoid}
    if not work.alone:
        return given
    if work.given.gpu:
        return {**given, "gpu": max(1.0, work.given.gpu)}
    able = {node: has for node, has in machines().items() if node not in work.avoid}
    if not able:
        return given
    chosen = able[whole(work.number, able)]
    # On one with more CPUs it would have company, and one with less memory may be too small.
    unlike = {
        node
        for node, has in able.items()
        if has.cpu != chosen.cpu or has.memory < ALIKE * chosen.memory
    }
    return {**given, "cpu": chosen.cpu, "avoid": tuple(sorted(unlike.union(work.avoid)))}


def _fault(answer: Any, machine: str, mark: Mark) -> str:
    """What is wrong with one machine; nothing where it died meanwhile: it gets no trial."""
    try:
        return mark.fault_of(machine, *ray.get(answer))
    except ray.exceptions.RayError:
        return ""


def _looker() -> Callable[[str, tuple[str, ...]], tuple[str, dict[str, str]]]:
    # A function inside a function travels by value: the machine may not have our package at all.
    def look(file: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path

        try:
            if "://" in file:
                import fsspec

                storage, place = fsspec.core.url_to_fs(file)
                text = storage.cat_file(place).decode()
            else:
                text = Path(file).read_text(encoding="utf-8") if file else ""
        except Exception as error:  # of a store anything may come
            text = f"{type(error).__name__}: {error}" if "://" in file else ""
        versions = {}
        for name in names:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = ""
        return text, versions

    return look
