"""A cluster on which sweeps run as `sweeper.service.queue.arrange` says, in simulated time.

What Ray and drivers do is played as simply as it can be: a driver starts a trial wherever one fits,
stops what its lease no longer covers at the next evaluation of that trial, the latest begun first,
and goes on with it later; a machine that vanishes takes its trials with it. A machine to come comes
a while after a trial first waits for it, and goes a while after the last one has left it.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sweeper.service.queue.arrange import Lease, arrange
from sweeper.service.queue.asking import (
    HALF_LIFE,
    Asking,
    Machine,
    Needs,
    Person,
    Priority,
    Totals,
)

COMES, GOES = 120.0, 300.0
"""Seconds until a machine has come, and until an idle one goes."""


@dataclass
class Trial:
    """One that is at work; `left` evaluations until its end."""

    machine: str
    gpus: list[int]
    begun: float
    evaluation: float
    left: int


@dataclass
class Sweep:
    """`trials` trials of `evaluations` evaluations each, `interval` seconds apart."""

    name: str
    person: str
    needs: Needs
    trials: int
    parallel: int
    evaluations: int = 3
    interval: float = 60.0
    arrives: float = 0.0
    priority: Priority = "normal"
    started: float | None = None
    running: list[Trial] = field(default_factory=list)
    standing: list[int] = field(default_factory=list)

    @property
    def work(self) -> float:
        """GPU seconds (CPU seconds, where it needs no GPU) from its first trial to its last."""
        each = self.needs.gpu or self.needs.cpu
        return self.trials * self.evaluations * self.interval * each

    def wants(self) -> int:
        return min(self.parallel, len(self.running) + len(self.standing) + self.trials)


class Simulation:
    """Runs `sweeps` of `people` on `machines`, with a look every `look` seconds."""

    def __init__(
        self,
        machines: Iterable[Machine],
        people: Iterable[Person],
        sweeps: Iterable[Sweep],
        *,
        look: float = 60.0,
        placed: bool = True,
        comes: bool = True,
        seed: int = 0,
    ) -> None:
        self.machines = {machine.name: machine for machine in machines}
        self.people = list(people)
        self.sweeps = list(sweeps)
        self.now = 0.0
        self.gone: set[str] = set()
        self.used: dict[str, float] = defaultdict(float)
        """Seconds of the whole cluster, as it is at the beginning, that each person has had."""
        self.idle = 0.0
        """GPU seconds in which a GPU was free that a sweep with a trial to start would have fitted
        on."""
        self.stops = 0
        """How often a trial has stopped before its end, to go on later."""
        self.leases: dict[str, Lease] = {}
        self._look, self._placed, self._comes = look, placed, comes
        self._asked_for: dict[str, float] = {}
        self._busy: dict[str, float] = {}
        self.gone.update(name for name, machine in self.machines.items() if machine.to_come)
        self._totals = Totals.of(self.machines.values())
        self._recent: dict[str, tuple[float, float]] = {one.name: (0.0, 0.0) for one in self.people}
        """Seconds of CPUs and of GPUs, as far as they are not forgotten."""
        self._random = random.Random(seed)
        self._cpus = {name: machine.cpu for name, machine in self.machines.items()}
        self._gpus = {name: [1.0] * int(m.gpu) for name, m in self.machines.items()}

    def vanish(self, machine: str) -> None:
        """Take a machine away, with what runs on it; a trial goes on from its last evaluation."""
        self.gone.add(machine)
        for sweep in self.sweeps:
            for trial in [trial for trial in sweep.running if trial.machine == machine]:
                self._stand(sweep, trial)

    def come_back(self, machine: str) -> None:
        self.gone.discard(machine)

    def step(self) -> None:
        """One look, and what happens until the next."""
        asking = [self._asking(sweep) for sweep in self.sweeps if self._is_waiting(sweep)]
        there = [
            replace(machine, to_come=name in self.gone)
            for name, machine in self.machines.items()
            if machine.to_come or name not in self.gone
        ]
        totals = Totals.of(there)
        people = [replace(one, recent=totals.share(*self._recent[one.name])) for one in self.people]
        self.leases = arrange(there, people, asking)
        begun = [sweep for sweep in self.sweeps if sweep.name in self.leases]
        self._start_all(begun)
        self._count_idle(begun)
        self._grow_and_shrink(begun)
        self.now += self._look
        left = 0.5 ** (self._look / HALF_LIFE)
        for name, (cpu, gpu) in self._recent.items():
            self._recent[name] = cpu * left, gpu * left
        for sweep in self.sweeps:
            seconds = len(sweep.running) * self._look
            spent = seconds * sweep.needs.cpu, seconds * sweep.needs.gpu
            self.used[sweep.person] += self._totals.share(*spent)
            cpu, gpu = self._recent[sweep.person]
            self._recent[sweep.person] = cpu + spent[0], gpu + spent[1]
            self._evaluate(sweep)
        self._start_all(begun)  # room that was made is theirs who have asked Ray for it already

    def over(self) -> bool:
        return all(not sweep.wants() for sweep in self.sweeps)

    def _is_waiting(self, sweep: Sweep) -> bool:
        return sweep.arrives <= self.now and sweep.wants() > 0

    def _asking(self, sweep: Sweep) -> Asking:
        where: dict[str, int] = defaultdict(int)
        for trial in sweep.running if self._placed else ():
            where[trial.machine] += 1
        return Asking(
            sweep.name,
            sweep.name,
            sweep.person,
            sweep.needs,
            sweep.wants(),
            sweep.arrives,
            sweep.priority,
            len(sweep.running),
            where,
            interval=sweep.interval,
        )

    def _start_all(self, sweeps: list[Sweep]) -> None:
        """Whatever has a lease and finds room, in any order."""
        self._random.shuffle(sweeps)
        for sweep in sweeps:
            while len(sweep.running) < self.leases[sweep.name].parallel and self._start(sweep):
                pass

    def _start(self, sweep: Sweep) -> bool:
        if not (sweep.standing or sweep.trials) or (found := self._place(sweep.needs)) is None:
            return False
        machine, gpus = found
        self._cpus[machine] -= sweep.needs.cpu
        for gpu in gpus:
            self._gpus[machine][gpu] -= min(1.0, sweep.needs.gpu)
        if sweep.standing:
            left = sweep.standing.pop(0)
        else:
            left, sweep.trials = sweep.evaluations, sweep.trials - 1
        if sweep.started is None:
            sweep.started = self.now
        sweep.running.append(Trial(machine, gpus, self.now, self.now + sweep.interval, left))
        return True

    def _place(self, needs: Needs) -> tuple[str, list[int]] | None:
        """The first machine on which a trial fits, and its GPUs there: of a part, the fullest."""
        for name, cpus in self._cpus.items():
            if name in self.gone or cpus < needs.cpu:
                continue
            free = self._gpus[name]
            if needs.gpu < 1:
                fitting = [i for i, left in enumerate(free) if left >= needs.gpu - 1e-9]
                if not needs.gpu or fitting:
                    return name, [min(fitting, key=lambda i: free[i])] if needs.gpu else []
            else:
                whole = [i for i, left in enumerate(free) if left > 1 - 1e-9][: int(needs.gpu)]
                if len(whole) == int(needs.gpu):
                    return name, whole
        return None

    def _evaluate(self, sweep: Sweep) -> None:
        for trial in sorted(sweep.running, key=lambda trial: -trial.begun):
            while trial in sweep.running and trial.evaluation <= self.now:
                trial.left -= 1
                trial.evaluation += sweep.interval
                if not trial.left:
                    self._leave(sweep, trial)
                elif len(sweep.running) > self.leases[sweep.name].parallel:
                    self._stand(sweep, trial)

    def _stand(self, sweep: Sweep, trial: Trial) -> None:
        self._leave(sweep, trial)
        self.stops += 1
        sweep.standing.append(trial.left)

    def _leave(self, sweep: Sweep, trial: Trial) -> None:
        sweep.running.remove(trial)
        self._cpus[trial.machine] += sweep.needs.cpu
        for gpu in trial.gpus:
            self._gpus[trial.machine][gpu] += min(1.0, sweep.needs.gpu)

    def _grow_and_shrink(self, sweeps: Iterable[Sweep]) -> None:
        """What Ray's autoscaler does: it packs what waits onto as many machines as it takes."""
        waits = [
            sweep.needs
            for sweep in sweeps
            for _ in range(self.leases[sweep.name].parallel - len(sweep.running))
        ]
        used = {trial.machine for sweep in self.sweeps for trial in sweep.running}
        for name, machine in self.machines.items():
            if not machine.to_come:
                continue
            if name in self.gone and self._comes:
                cpus, took = machine.cpu, 0
                while waits[took:] and waits[took].cpu <= cpus:
                    cpus, took = cpus - waits[took].cpu, took + 1
                waits = waits[took:]
                asked_for = self._asked_for.pop(name, self.now) if took else math.inf
                if self.now - asked_for >= COMES:
                    self.gone.discard(name)
                    self._busy[name] = self.now
                elif took:
                    self._asked_for[name] = asked_for
            elif name in used:
                self._busy[name] = self.now
            elif name not in self.gone and self.now - self._busy[name] >= GOES:
                self.gone.add(name)

    def _count_idle(self, sweeps: Iterable[Sweep]) -> None:
        if any(
            sweep.needs.gpu and len(sweep.running) < sweep.wants() and self._place(sweep.needs)
            for sweep in sweeps
        ):
            free = (gpus for name, gpus in self._gpus.items() if name not in self.gone)
            self.idle += self._look * sum(left for gpus in free for left in gpus)
