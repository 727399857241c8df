"""Machines as they fill up with trials, each whole on one machine.

Amounts are counted in ten-thousandths, as Ray does: three trials of 0.3333 GPUs share one.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from sweeper.service.queue.asking import Asking, Machine, Needs

ONE = 10_000

Amounts = tuple[int, int]
"""CPUs and GPUs."""


def amounts(needs: Needs) -> Amounts:
    """What a trial takes; beyond one GPU whole ones only."""
    gpu = round(needs.gpu * ONE)
    return round(needs.cpu * ONE), gpu if gpu <= ONE else math.ceil(gpu / ONE) * ONE


class _Filling:
    """One machine: what is left beside the trials that were placed on it."""

    def __init__(self, machine: Machine) -> None:
        gpus = max(0, math.floor(machine.free_gpu * ONE + 0.5))
        self.name = machine.name
        self.cpu = max(0, math.floor(machine.free_cpu * ONE + 0.5))
        self.gpus, part = divmod(gpus, ONE)  # those of which nothing is taken
        self.parts = [part] if part else []  # what is left of each of the others, sorted
        # What nobody uses at this instant: also without the trials that run here and may have to
        # make room. As sums, for it only says which of two machines is the better.
        self.idle_cpu, self.idle_gpu = self.cpu, gpus

    def fits(self, cpu: int, gpu: int) -> bool:
        if cpu > self.cpu:
            return False
        if gpu < ONE:
            return not gpu or self.gpus > 0 or (bool(self.parts) and self.parts[-1] >= gpu)
        return gpu <= self.gpus * ONE

    def take(self, cpu: int, gpu: int) -> None:
        self.cpu -= cpu
        if gpu >= ONE:
            self.gpus -= gpu // ONE
        elif gpu:
            tightest = bisect.bisect_left(self.parts, gpu)
            if tightest < len(self.parts):
                left = self.parts.pop(tightest) - gpu
            else:
                self.gpus -= 1
                left = ONE - gpu
            if left:
                bisect.insort(self.parts, left)

    def badness(self, cpu: int, gpu: int) -> tuple[bool, int, int]:
        """The least is the best place for one more trial: where none has to make room for it; where
        it breaks into the fewest GPUs, of which those that need them whole have the more; then
        where it fills the machine."""
        crowded = cpu > self.idle_cpu or gpu > self.idle_gpu
        if not gpu:
            broken = self.gpus * ONE + sum(self.parts)
        elif gpu >= ONE:
            broken = self.gpus
        else:
            tightest = bisect.bisect_left(self.parts, gpu)
            shared = tightest < len(self.parts)
            broken = self.parts[tightest] - gpu if shared else ONE + self.gpus
        return crowded, broken, self.cpu


class Packing:
    """The machines of a cluster, to be filled from nothing.

    Room is only ever taken, so that what has found none once finds none later: that is remembered.
    """

    def __init__(self, machines: Iterable[Machine], asking: Iterable[Asking]) -> None:
        ordered = sorted(machines, key=lambda machine: machine.name)
        self._machines = {machine.name: _Filling(machine) for machine in ordered}
        self._full: set[Amounts] = set()
        for sweep in asking:
            cpu, gpu = amounts(sweep.needs)
            for name, count in sweep.where.items():
                if machine := self._machines.get(name):
                    machine.idle_cpu -= count * cpu
                    machine.idle_gpu -= count * gpu

    def __contains__(self, machine: str) -> bool:
        return machine in self._machines

    def keep(self, needs: Amounts, machine: str) -> bool:
        """Place a trial where it runs already; False where there is no more room for it."""
        there = self._machines[machine]
        if fits := there.fits(*needs):
            there.take(*needs)
        return fits

    def begin(self, needs: Amounts) -> bool:
        """Place a trial on the best machine for it; False where it fits on none."""
        if needs in self._full:
            return False
        fitting = [machine for machine in self._machines.values() if machine.fits(*needs)]
        if not fitting:
            self._full.add(needs)
            return False
        best = min(fitting, key=lambda machine: machine.badness(*needs))
        best.take(*needs)
        best.idle_cpu -= needs[0]
        best.idle_gpu -= needs[1]
        return True
