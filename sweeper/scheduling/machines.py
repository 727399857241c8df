"""Do all machines of a Ray cluster see the sweep's folder, and run the same code?

A trial's checkpoints and samples are files in that folder: on a machine that has only a folder of
the same name, a training would seem to go well, and leave everything it made there. So the driver
leaves a mark in the folder, asks every machine for it before the first trial, and each worker looks
for it when it takes up a trial, since machines may join later.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.errors import SweeperError, UserError
from sweeper.home import SweepFolder
from sweeper.sweepfile.sections import Resources
from trials.files import atomic_write

ANSWER_IN = 60.0
"""Seconds for the machines to answer. A busy one may take longer: then its workers will say so."""

PACKAGE = "gan-sweeper"


class NotShared(SweeperError):  # noqa: N818 - what happened
    """A machine of the cluster does not see the sweep's folder."""


@dataclass(frozen=True)
class Mark:
    """A file in the sweep's folder and what it holds, new for each run of the driver."""

    file: str
    text: str

    @classmethod
    def leave(cls, folder: SweepFolder) -> Mark:
        mark = cls(str(folder.driver_mark), uuid.uuid4().hex)
        atomic_write(folder.driver_mark, mark.text)
        return mark

    def is_seen(self) -> bool:
        """Whether this machine sees it."""
        try:
            return Path(self.file).read_text(encoding="utf-8") == self.text
        except (OSError, ValueError):
            return False


def check_machines(mark: Mark, resources: Resources) -> None:
    """Refuse a cluster in which a trial could run where its files are lost, or by other code.

    A machine without the `resources` of a trial, a head that only directs, need see nothing.

    Raises UserError that names every other such machine and what is wrong there.
    """
    mine = ray.get_runtime_context().get_node_id()
    others = {
        node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] != mine and _holds(node["Resources"], resources)
    }
    if not others:
        return
    look = _looker()
    _, version = look(mark.file, PACKAGE)
    asked = {
        ray.remote(num_cpus=0, max_retries=0)(look)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(mark.file, PACKAGE): name
        for node, name in others.items()
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_IN)
    found = {_fault(answer, asked[answer], version, mark) for answer in answered}
    faults = sorted(fault for fault in found if fault)
    if faults:
        raise UserError("this Ray cluster cannot run the sweep:\n  " + "\n  ".join(faults))


def _holds(has: Mapping[str, float], wanted: Resources) -> bool:
    return has.get("CPU", 0.0) >= wanted.cpu and has.get("GPU", 0.0) >= wanted.gpu


def _fault(answer: Any, name: str, mine: str, mark: Mark) -> str:
    """What is wrong with one machine; nothing where it died meanwhile: it gets no trial."""
    try:
        seen, version = ray.get(answer)
    except ray.exceptions.RayError:
        return ""
    if version != mine:
        has = f"{PACKAGE} {version}" if version else f"no {PACKAGE}"
        return f"{name} has {has}, and this machine {mine or 'a checkout'}: install the same"
    if seen != mark.text:
        return not_shared(name, mark)
    return ""


def not_shared(machine: str, mark: Mark) -> str:
    """The message for a machine that does not see the mark."""
    return (
        f"{machine} does not see {Path(mark.file).parent}, where trials keep their checkpoints: "
        "give --home a folder that all machines of the cluster share"
    )


def _looker() -> Callable[[str, str], tuple[str, str]]:
    # A function inside a function travels by value: the machine may not have our package at all.
    def look(file: str, package: str) -> tuple[str, str]:
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path

        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            text = ""
        try:
            return text, version(package)
        except PackageNotFoundError:
            return text, ""

    return look
