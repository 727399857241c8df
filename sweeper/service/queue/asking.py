"""What an arrangement is made from: machines, people, and what their sweeps ask for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Priority = Literal["low", "normal", "high", "urgent"]

HOUR = 3600

HALF_LIFE = 3600.0
"""Seconds after which use counts half."""

RANKS: Mapping[str, int] = {"urgent": 0, "high": 1, "normal": 2, "low": 3}


@dataclass(frozen=True)
class Needs:
    """What one trial takes of the one machine that it runs on.

    A part of a GPU is of one GPU: two trials of 0.5 share one, and none has 0.5 of two.
    """

    cpu: float = 1.0
    gpu: float = 0.0


@dataclass(frozen=True)
class Machine:
    """One machine. `free_…` is what programs other than this service's sweeps leave of it. One that
    is `to_come` is not there: Ray's autoscaler adds it when a trial waits for it."""

    name: str
    cpu: float
    gpu: float
    free_cpu: float
    free_gpu: float
    to_come: bool = False

    @classmethod
    def all_ours(cls, name: str, cpu: float, gpu: float = 0.0, *, to_come: bool = False) -> Machine:
        """A machine that nobody else uses."""
        return cls(name, cpu, gpu, cpu, gpu, to_come)


@dataclass(frozen=True)
class Quotas:
    """Limits over all sweeps of a person; None: there is none."""

    parallel: int | None = None
    gpus: float | None = None
    gpu_hours: float | None = None
    """Of one calendar month."""


@dataclass(frozen=True)
class Person:
    """Who asks.

    A person of twice another's `weight` (above 0) has twice as much while both want more than they
    have. `recent` is what the person's trials have used of late (`recent_use`), `month` the GPU
    hours of this calendar month.
    """

    name: str
    weight: float = 1.0
    quotas: Quotas = Quotas()
    recent: float = 0.0
    month: float = 0.0


@dataclass(frozen=True)
class Asking:
    """A sweep that wants to run.

    `wants` is how many trials it could have at work now, `holds` how many it has, `where` on which
    machines those are, as far as that is known. `since` is when it began to wait, on any clock.
    `forecast` is how many seconds it has left to run, `interval` how many pass between two
    evaluations of a trial, at which a trial can make room; None where nobody knows.
    """

    sweep: str
    name: str
    person: str
    needs: Needs
    wants: int
    since: float
    priority: Priority = "normal"
    holds: int = 0
    where: Mapping[str, int] = field(default_factory=dict)
    forecast: float | None = None
    interval: float | None = None

    @property
    def urgent(self) -> bool:
        return self.priority == "urgent"

    @property
    def own_order(self) -> tuple[int, float, str]:
        """Its place among the sweeps of one person: by priority, then by age."""
        return RANKS[self.priority], self.since, self.sweep


@dataclass(frozen=True)
class Totals:
    """All CPUs and GPUs of a cluster: what its shares are parts of."""

    cpu: float
    gpu: float

    @classmethod
    def of(cls, machines: Iterable[Machine]) -> Totals:
        """Those of the machines that are there; of what these have none of, those of the machines
        to come. Were all counted, nobody would ever be beyond the fair share where none comes."""
        every = tuple(machines)
        there = [one for one in every if not one.to_come]
        return cls(
            sum(one.cpu for one in there) or sum(one.cpu for one in every),
            sum(one.gpu for one in there) or sum(one.gpu for one in every),
        )

    def share(self, cpu: float, gpu: float) -> float:
        """The larger of two shares, that of all CPUs and that of all GPUs (dominant resource
        fairness, Ghodsi et al. 2011): of what a trial takes, or of seconds that were used."""
        return max(
            cpu / self.cpu if self.cpu else 0.0,
            gpu / self.gpu if self.gpu else 0.0,
        )


def recent_use(hours: Mapping[int, tuple[float, float]], now: float, totals: Totals) -> float:
    """What was used of late, in seconds of the whole cluster: what lies HALF_LIFE back counts half.

    `hours` has seconds of CPU and GPU under the time at which each hour began. Use is forgotten
    little by little, not at the end of a window: there, a burst of one person would come back as
    one of all others when it is forgotten at once.
    """
    rate = math.log(2) / HALF_LIFE
    recent = 0.0
    for begins, (cpu, gpu) in hours.items():
        youngest, oldest = max(0.0, now - begins - HOUR), max(1.0, now - begins)
        # The mean of e^(−rate · age) over the hour so far, in which use was about even.
        faded = (math.exp(-rate * youngest) - math.exp(-rate * oldest)) / rate
        recent += totals.share(cpu, gpu) * faded / (oldest - youngest)
    return recent
