"""Where a sweep's trials can run: on machines that are there, and on those that may yet join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ray

from sweeper.errors import UserError
from sweeper.scheduling.cluster.growing import VARIABLE, Growth
from sweeper.sweepfile.resources import AUTO, Given, Resources

TO_COME = "a machine to come"


class Room:
    """The machines of the cluster that this process has joined, as trials see them that ask for
    `resources`; what else may join it follows from its `growth`."""

    def __init__(self, resources: Resources, growth: Growth | None = None) -> None:
        self.grows = bool(growth)
        self._resources = resources
        self._growth = growth or Growth()

    def nodes(self) -> list[Mapping[str, Any]]:
        """The machines on which a trial could run now, as Ray tells of them."""
        return [node for node in _there() if self._holds(_has(node))]

    def names(self) -> dict[str, str]:
        """Those: Ray's id → name."""
        return {node["NodeID"]: node["NodeManagerHostname"] for node in self.nodes()}

    def names_in_time(self) -> dict[str, str]:
        """Those, and one more for all on which a trial could run once they have come."""
        return {**self.names(), **({"": TO_COME} if self.to_come() else {})}

    def machines(self) -> dict[str, Given]:
        """What each has on which a trial could run now, by Ray's id."""
        return {node["NodeID"]: _has(node) for node in self.nodes()}

    def to_come(self) -> list[Given]:
        """What those have on which a trial could run once they have come."""
        return [one for one in self._growth.to_come(map(_has, _there())) if self._holds(one)]

    def check(self) -> None:
        """Refuse what the cluster can never give; it would be waited for in silence.

        Raises:
            UserError: no machine has so much, nor may one come that has.
        """
        there = [_has(node) for node in _there()]
        if told := self._lacks([*there, *self._growth.to_come(there)]):
            also = " (nor one that may join it)" if self.grows else ""
            hint = (
                ""
                if self.grows
                else f"; if it scales automatically, describe its machines in {VARIABLE}"
            )
            raise UserError(f"{told}{also}{hint}")

    def _lacks(self, machines: Iterable[Given]) -> str:
        """What none of these has; empty where one has all of it."""
        known, asked, whole = list(machines), self._resources, self._resources.whole
        if any(map(self._holds, known)):
            return ""
        for name, told, wanted in (("cpu", asked.cpu, whole.cpu), ("gpu", asked.gpu, whole.gpu)):
            most = max((getattr(one, name) for one in known), default=0.0)
            if wanted > most:
                amount = told if told == AUTO else f"{told:g}"
                nobody = "no machine of this Ray cluster has more than"
                return f"resources.{name} is {amount}, but {nobody} {most:g}"
        return (
            f"a trial needs {whole.cpu:g} CPUs and {whole.gpu:g} GPUs of one machine, but no "
            "machine of this Ray cluster has both"
        )

    def _holds(self, machine: Given) -> bool:
        wanted = self._resources.whole
        return machine.cpu >= wanted.cpu and machine.gpu >= wanted.gpu


def _there() -> list[Mapping[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _has(node: Mapping[str, Any]) -> Given:
    has = node["Resources"]
    return Given(has.get("CPU", 0.0), has.get("GPU", 0.0), int(has.get("memory", 0)))
