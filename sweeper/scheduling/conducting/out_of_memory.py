"""A trial that ran out of memory is tried once more, with its device to itself.

What it lacked, others may have had: those beside it on the GPU, or on the machine where there is
none. So it goes on from its checkpoint with the whole GPU, without one with all CPUs of the machine
where it was, and keeps them to its end. Out of memory again, it has failed: then its configuration
is too large.

Ray never takes from one trial what another waits for. While such a trial waits for its place, the
driver therefore hands out nothing else, and those in its way, on one device, stand aside at their
next evaluation. What others than this sweep have there it cannot take: where the place does not get
free in time, the sweep goes on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from sweeper.scheduling.machines.places import Place
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.resources import AUTO, Given, Resources

PATIENCE = 300.0
"""Seconds for which others are held back at least; an interval between two evaluations may be
longer, and those in the way are then waited for."""


class OutOfMemory:
    """The trials of one sweep that are to be alone: which, and for which of them room is made.

    `longest` says how long a trial has taken between two evaluations at most.
    """

    def __init__(
        self,
        ledger: Ledger,
        resources: Resources,
        longest: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        # One that has a whole GPU anyway has no company there.
        self._has_company = resources.gpu == AUTO or resources.whole.gpu < 1
        self._longest = longest
        self._clock = clock
        self._trials = {
            trial.number for trial in ledger.interrupted() if ledger.mishaps.ran_out(trial.number)
        }
        self._places: dict[int, Place] = {}
        self._next: int | None = None
        self._deadline = 0.0

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    @property
    def makes_room(self) -> bool:
        """Whether nothing else is to be handed out, since one of them waits for its place."""
        return self._next is not None and self._clock() < self._deadline

    @property
    def waits(self) -> bool:
        """Whether one of them waits for its place."""
        return self._next is not None

    def ran_out(self, number: int, place: Place, note: str) -> bool:
        """The trial ran out of memory there, as the note says. Whether it is to be tried once
        more."""
        if number in self._trials:
            return False
        self._ledger.mishaps.run_out(number, note)
        self._trials.add(number)
        if place.node:
            self._places[number] = place
        return True

    def machine_for(self, number: int, machines: Mapping[str, Given]) -> str:
        """Which of these machines, by Ray's ids, the trial is to have whole, if it has no GPU: that
        on which it ran out of memory; where that is gone or not known, the one with the most. There
        room is made for it."""
        place = self._places.get(number)
        if place is None or place.node not in machines:
            largest = max(machines, key=lambda node: (machines[node].memory, machines[node].cpu))
            place = self._places[number] = Place(node=largest)
        return place.node

    def lost_its_machine(self, number: int, machines: Collection[str]) -> bool:
        """Whether the machine that the trial was to have is none of these any more. It is forgotten
        then: when the trial is handed out next, another one is chosen."""
        place = self._places.get(number)
        if place is None or place.node in machines:
            return False
        del self._places[number]
        return True

    def handed_out(self, number: int) -> None:
        """The trial is with a worker, or will be when Ray has found a place for one."""
        if number in self._trials:
            self._next = number
            self._deadline = self._clock() + max(PATIENCE, 2 * self._longest())

    def has_its_place(self, number: int) -> None:
        """The trial was taken up by a worker, or is with none any more."""
        if number == self._next:
            self._next = None

    def is_in_the_way(self, number: int, place: Place) -> bool:
        """Whether a trial that trains there is to stand aside: it has what the one that waits is to
        have, which is what that had before, or else the first device that somebody reports from."""
        if not place.node or not self.makes_room or not self._has_company:
            return False
        waiting = self._next
        if waiting is None or number == waiting:
            return False
        return self._places.setdefault(waiting, place).shares(place)
