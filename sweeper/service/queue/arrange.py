"""The arrangement: who may run how many trials at once, by weighted fair share between people.

    from nothing, at every look:
      while anybody wants more:
          the person with the least (recent use + HORIZON · what is beyond the fair share) / weight
          gets one more trial, for the first of their own sweeps: by priority, then by age

What a trial costs is its share of the cluster that is there, of GPUs or CPUs, whichever is the
larger. The fair share is a person's by weight, with what others do not want. Use fades little by
little (`recent_use`). So people who want more than they have come to shares as their weights, and
who has had less than that is ahead until it is made up for; a newcomer is let in at the next look.

    held      A trial that is at work counts as FAVOUR seconds less of use, or else each look would
              turn the last one round.
    urgent    An urgent sweep of a person goes before all ordinary ones of others, whatever the
              person has used of late, as long as the person so has no more than the fair share.
              Beyond it, its trials are favoured as those at work. Whatever they take is counted as
              ever. So urgency is a loan from one's own sweeps of later, and takes from nobody what
              is theirs.
    backfill  Where a trial does not fit, the next in turn that does is granted. It delays no one:
              room is given out anew at each look, so that it stands in another's way until its next
              evaluation, as every trial does that makes room.
    moving    A trial that would fit beside a new one only on another machine has its place kept
              there, and stops where it is.

    to come   Machines that Ray's autoscaler may add are given out in the same way, after those that
              are there: for such a lease the driver asks Ray, and so the machine comes. Where none
              comes, the others are shared as if none could: a trial that has to make room on them
              does so before another one of its sweep waits for a machine.

Whole trials go onto machines (`packing`), so that what is granted can be run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sweeper.service.queue.asking import Asking, Machine, Needs, Person, Totals
from sweeper.service.queue.expecting import starts_in
from sweeper.service.queue.line import Line, Sweep, fair_shares
from sweeper.service.queue.packing import Packing
from sweeper.service.queue.reasons import Moving, Own, Reason, ToCome, Turn, impossible


@dataclass(frozen=True)
class Lease:
    """How many trials a sweep may have at work now, and if that is fewer than it wants, why.

    `before` is how many sweeps stand in line before it for the next free room, `starts_in` in about
    how many seconds it has its turn; None where that does not apply or nobody can tell.
    """

    parallel: int
    reason: Reason | None = None
    before: int | None = None
    starts_in: float | None = None


def arrange(
    machines: Iterable[Machine], people: Iterable[Person], asking: Iterable[Asking]
) -> dict[str, Lease]:
    """The lease of each sweep that asks, by its id. Whoever asks is one of `people`."""
    every, sweeps = tuple(machines), tuple(asking)
    totals = Totals.of(every)
    lines = _lines(every, totals, people, sweeps)
    here = Packing((machine for machine in every if not machine.to_come), sweeps)
    _grant(lines, 1.0, lambda sweep: sweep.put_on(here))
    if to_come := [machine for machine in every if machine.to_come]:
        coming = Packing(to_come, ())
        grown = totals.share(sum(one.cpu for one in every), sum(one.gpu for one in every))
        _grant(lines, grown, lambda sweep: sweep.have_come(coming))
    waiting = _waiting(lines)
    starts = starts_in(lines, waiting)
    before = {sweep.asking.sweep: place for place, sweep in enumerate(waiting)}
    leases = {}
    for line in lines:
        ahead: Sweep | None = None
        for sweep in line.sweeps:
            key, reason = sweep.asking.sweep, None
            if sweep.lease < sweep.asking.wants or sweep.waits_for_machines:
                reason = sweep.refusal or _no_room(sweep, ahead, before.get(key), waiting)
            leases[key] = Lease(sweep.lease, reason, before.get(key), starts.get(key))
            if sweep.granted or key in before:
                ahead = sweep
    return leases


def _grant(lines: Sequence[Line], room: float, place: Callable[[Sweep], bool]) -> None:
    """Give out machines, one trial at a time, until nobody fits who may have more. `room` is what
    they and those given out before are of the cluster that is there. `place` has one of a sweep's
    placed; False for want of room."""
    fair = fair_shares(
        [(line.person.name, line.person.weight, line.wanted) for line in lines], room
    )
    for line in lines:
        line.begin(fair[line.person.name])
    heap = [line.next() for line in lines if line.first]
    heapq.heapify(heap)
    while heap:
        *_, line = heapq.heappop(heap)
        sweep = line.first
        assert sweep is not None  # or the line would not stand here
        sweep.refusal = line.quota(sweep)
        if sweep.refusal is None and place(sweep):
            line.grant()
        else:
            line.refuse()
        if line.first:
            heapq.heappush(heap, line.next())


def _waiting(lines: Sequence[Line]) -> list[Sweep]:
    """The sweeps that have found no room for all they want, in the order of their turns, as if each
    in its turn were granted one trial more."""
    heap = []
    for line in lines:
        own = [sweep for sweep in line.sweeps if sweep.unsatisfied]
        if own:
            heap.append((line.standing(own[0], line.share), line.share, line, own))
    heapq.heapify(heap)
    order = []
    while heap:
        _, share, line, (sweep, *others) = heapq.heappop(heap)
        order.append(sweep)
        if others:
            share += sweep.cost
            heapq.heappush(heap, (line.standing(others[0], share), share, line, others))
    return order


def _no_room(
    sweep: Sweep, ahead: Sweep | None, before: int | None, waiting: Sequence[Sweep]
) -> Reason:
    """Why a sweep that found room for fewer trials than it wants has no more."""
    if before is None and sweep.makes_room:
        return Moving(sweep.makes_room)
    if before is None or sweep.waits_for_machines:
        return ToCome(sweep.waits_for_machines)
    person = sweep.asking.person
    if before and ahead and not sweep.granted:
        return Own(person, ahead.asking.name)
    return Turn(waiting[0].asking.person, before)


def _lines(
    machines: Sequence[Machine],
    totals: Totals,
    people: Iterable[Person],
    asking: Iterable[Asking],
) -> list[Line]:
    names = frozenset(machine.name for machine in machines)
    why_never: dict[Needs, Reason | None] = {}
    by_person: dict[str, list[Sweep]] = {}
    for one in asking:
        if one.needs not in why_never:
            why_never[one.needs] = impossible(one.needs, machines)
        sweep = Sweep(one, totals, names, why_never[one.needs])
        by_person.setdefault(one.person, []).append(sweep)
    asks = sorted(
        (person for person in people if person.name in by_person), key=lambda person: person.name
    )
    return [Line(person, by_person[person.name]) for person in asks]
