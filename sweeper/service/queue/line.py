"""One person's sweeps in an arrangement, as they are granted one trial after another."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.service.queue.asking import Asking, Person, Totals
from sweeper.service.queue.packing import Packing, amounts
from sweeper.service.queue.reasons import Quota, Reason

HORIZON = 600.0
"""Seconds for which a trial beyond the fair share counts as use when it is granted."""

FAVOUR = 60.0
"""Seconds of use by which a trial that is at work is ahead of one that is not."""

Standing = tuple[float, float, float, str]
"""The least is next: by seconds used, then who has less, then who has waited longer."""

_NOISE = 1e-9
"""What sums of fractions may be off."""


def fair_shares(people: Iterable[tuple[str, float, float]], room: float) -> dict[str, float]:
    """Each person's part of `room` by weight, from names, weights and the shares they want: what
    one does not want goes to the others, by weight too."""
    shares = {}
    by_modesty = sorted(people, key=lambda one: (one[2] / one[1], one[0]))
    weights = sum(weight for _, weight, _ in by_modesty)
    for name, weight, wanted in by_modesty:
        shares[name] = min(wanted, room * weight / weights)
        room, weights = room - shares[name], weights - weight
    return shares


class Sweep:
    """A sweep, and what it has been granted so far."""

    def __init__(
        self,
        asking: Asking,
        totals: Totals,
        machines: frozenset[str],
        refusal: Reason | None = None,
    ) -> None:
        self.asking = asking
        self.refusal = refusal  # None too where it only finds no room
        self.cost = totals.share(asking.needs.cpu, asking.needs.gpu)
        self.needs = amounts(asking.needs)
        self.granted = self.moving = self.waits_for_machines = 0
        where = sorted(machines & asking.where.keys())  # a vanished machine has taken its trials
        self._places = [machine for machine in where for _ in range(asking.where[machine])]
        self._displaced = 0

    @property
    def held(self) -> bool:
        """Whether its next trial is one that is at work already."""
        return self.granted < self.asking.holds

    @property
    def lease(self) -> int:
        """While one of its trials has to make room, none begins: a lease says how many, not which,
        and as many as before would keep them all where they are."""
        if self.makes_room:
            return max(0, min(self._there, self.asking.holds) - self.moving)
        return self.granted

    @property
    def makes_room(self) -> int:
        """How many of its trials stop where they are, to go on elsewhere."""
        return self.moving or (self.asking.holds - self._there if self._has_to_wait else 0)

    @property
    def _there(self) -> int:
        """What it was granted on machines that are there."""
        return self.granted - self.waits_for_machines

    @property
    def _has_to_wait(self) -> bool:
        """Whether a trial that is at work has its next place on a machine to come."""
        return self.waits_for_machines > 0 and self._there < self.asking.holds

    @property
    def wanted(self) -> float:
        """The share of the cluster that it would have if it had all it wants and can have."""
        return 0.0 if self.refusal else self.cost * self.asking.wants

    @property
    def unsatisfied(self) -> bool:
        """Whether it wants more than it was granted, and nothing but room is in its way."""
        return self.refusal is None and self.granted < self.asking.wants

    def put_on(self, packing: Packing) -> bool:
        """Place one more trial, where it runs already or else anywhere; False for want of room."""
        while self._places:
            if packing.keep(self.needs, self._places.pop()):
                break
            self._displaced += 1
        else:
            if not packing.begin(self.needs):
                return False
            if self._displaced:
                self._displaced -= 1
                self.moving += 1
        self.granted += 1
        return True

    def have_come(self, packing: Packing) -> bool:
        """Have a machine come for one more trial; False where none has room."""
        if not packing.begin(self.needs):
            return False
        self.granted += 1
        self.waits_for_machines += 1
        return True


class Line:
    """One person's sweeps that ask, in the order in which they have the person's share."""

    def __init__(self, person: Person, sweeps: Iterable[Sweep]) -> None:
        self.person = person
        self.sweeps = sorted(sweeps, key=lambda sweep: sweep.asking.own_order)
        self.share = self.gpus = 0.0
        self.trials = self._at = 0
        self.last = 0.0  # how far the person was when the last trial was granted
        self.wanted = sum(sweep.wanted for sweep in self.sweeps)  # quotas refuse some later
        self._fair = 0.0

    @property
    def first(self) -> Sweep | None:
        """Whose turn it is among them; None where all have what they can get."""
        return self.sweeps[self._at] if self._at < len(self.sweeps) else None

    def used(self, share: float) -> float:
        """Seconds of the whole cluster for each unit of weight, if the person had this share.

        Up to the fair share, only what was used counts: with whole trials a share is above or below
        the fair one at every look, and use over time alone evens that out exactly.
        """
        return (self.person.recent + HORIZON * max(0.0, share - self._fair)) / self.person.weight

    def standing(self, sweep: Sweep, share: float, favour: float = 0.0) -> Standing:
        """Where the person stands for one trial more of `sweep`, with this share so far."""
        weight, name = self.person.weight, self.person.name
        used = self.used(share) - favour * sweep.cost / weight
        return used, share / weight, sweep.asking.since, name

    def next(self) -> tuple[bool, Standing, Line]:
        """Where the person stands for the next trial that is granted: the least has it."""
        sweep = self.first
        assert sweep is not None
        urgent = sweep.asking.urgent
        lent = urgent and self.share + sweep.cost <= self._fair + _NOISE
        favour = FAVOUR if urgent or sweep.held else 0.0
        return not lent, self.standing(sweep, self.share, favour), self

    def quota(self, sweep: Sweep) -> Quota | None:
        """The quota that keeps the sweep from one more trial, if any."""
        who, limits, gpu = self.person.name, self.person.quotas, sweep.asking.needs.gpu
        if limits.parallel is not None and self.trials >= limits.parallel:
            return Quota(who, "parallel", limits.parallel, self.trials)
        if gpu and limits.gpus is not None and self.gpus + gpu > limits.gpus + _NOISE:
            return Quota(who, "gpus", limits.gpus, self.gpus)
        if gpu and limits.gpu_hours is not None and self.person.month >= limits.gpu_hours:
            return Quota(who, "gpu_hours", limits.gpu_hours, self.person.month)
        return None

    def grant(self) -> None:
        """Count the trial that the first of them has got."""
        sweep = self.sweeps[self._at]
        self.last, *_ = self.standing(sweep, self.share, FAVOUR)
        self.share += sweep.cost
        self.gpus += sweep.asking.needs.gpu
        self.trials += 1
        self._pass_satisfied()

    def begin(self, fair: float) -> None:
        """Machines are given out, of which and of all before this is the person's fair share:
        whoever has found no room among them is asked once more."""
        self._at, self._fair = 0, fair
        self._pass_satisfied()

    def refuse(self) -> None:
        """The first of them gets no more at this look."""
        self._at += 1
        self._pass_satisfied()

    def _pass_satisfied(self) -> None:
        while self.first and not self.first.unsatisfied:
            self._at += 1
