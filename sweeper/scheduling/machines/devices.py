"""Devices that are wrong: which of a trial and its device is at fault where CUDA gives out.

CUDA says of some errors that the hardware is broken (`uncorrectable ECC error`); of others, such as
a `device-side assert`, either the device or what was computed may be the reason. So such a trial is
tried again, on another machine where there is one, and others tell:

    it fails so on two devices               it is the trial's own error
    others get on where it failed            the same, where the error may be a trial's
    it fails three times, and nobody knows   its device's fault: the next run tries it again

Where two trials have failed on a device, or one has twice by an error of the hardware, and another
gets on elsewhere, that device is wrong: nothing begins there for the rest of the sweep (`guards`).
All of it is in the ledger, and outlives the driver.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from sweeper.scheduling.machines.places import Place

if TYPE_CHECKING:
    from sweeper.search.mishaps import Mishaps  # imports Optuna, which no worker needs

TRIES = 3
"""How often a trial may fail by its device."""

FAILURES = 2
"""Failures on a device by which it counts as wrong: of different trials, where a trial may be at
fault."""

REST = 10.0
"""Seconds before a trial is tried again, in which its worker lets go of the device, and a guard may
take it."""

LET_GO = 3 * REST
"""Seconds after a failure in which no worker that has no trial is kept: one of them may hold a
device that is to be guarded."""

_HARDWARE = re.compile(
    r"\b(ecc|xid|nvlink|gpu is lost|fallen off the bus|hardware stack error)\b", re.IGNORECASE
)
"""Words of errors that no computation brings about."""

_EITHER = re.compile(
    r"device-side assert|unspecified launch failure|illegal memory access|misaligned address"
    r"|illegal instruction|device(\(s\)|s)? (is/)?are busy or unavailable|no cuda-capable device"
    r"|invalid program counter|launch timed out|mps (client|server)|sees no gpu"
    r"|resources required to support device connections have been exhausted",
    re.IGNORECASE,
)
"""Words of errors that break a device's context, by whomever they were brought about."""

NOWHERE = Place()
"""Where a trial has failed of which nobody knows yet where it was."""

Verdict = Literal["again", "own", "give up"]


def is_of_device(words: str) -> bool:
    """Whether an error with these words says that a device is broken, or its context."""
    return "cuda" in words.lower() and bool(_HARDWARE.search(words) or _EITHER.search(words))


def may_be_own(reason: str) -> bool:
    """Whether what a trial computes may be the reason for such an error."""
    return not _HARDWARE.search(reason)


class Devices:
    """The devices of one sweep on which trials have failed by them; a device is a `Place` without
    Ray's id, which is another one in the next run. `shared` says that trials compute in one context
    (NVIDIA's MPS), so that what one does wrong ends its neighbours too."""

    def __init__(
        self,
        mishaps: Mishaps,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: bool = False,
    ) -> None:
        self._mishaps = mishaps
        self._shared = shared
        self._clock = clock
        self._last = -math.inf
        self._hardware: Counter[Place] = Counter()
        faults = mishaps.faults()
        self._faults = {number: list(map(_place, told)) for number, told in faults.items()}
        self.wrong = set(map(_place, mishaps.wrong_devices()))
        self._work: set[Place] = set()

    @property
    def watched(self) -> bool:
        """Whether it matters where trials get on."""
        return bool(self._faults)

    @property
    def recent(self) -> bool:
        """Whether one has failed a moment ago."""
        return self._clock() < self._last + LET_GO

    def works(self, place: Place) -> None:
        """A trial has got on there."""
        if place != NOWHERE:
            self._work.add(_without_node(place))

    def is_wrong(self, place: Place) -> bool:
        """Whether nothing is to train there any more."""
        return _without_node(place) in self.wrong

    def machines_to_avoid(self, number: int) -> frozenset[str]:
        """The machines on which the trial is not to train if there are others: it has failed there
        by its device, or they are wrong as a whole."""
        without_gpu = {place.machine for place in self.wrong if not place.gpus}
        failed_on = {one.machine for one in self._faults.get(number, ()) if one != NOWHERE}
        return frozenset(without_gpu | failed_on)

    def failed(self, number: int, place: Place, reason: str) -> Verdict:
        """The trial failed there by its device, as the reason says: whose fault is it, and is it to
        be tried again?"""
        self._last = self._clock()
        device, before = _without_node(place), self._faults.setdefault(number, [])
        others = set(before) - {device, NOWHERE}
        elsewhere = device != NOWHERE and (others or (before and device in self._work))
        if may_be_own(reason) and elsewhere and not self._shared:
            del self._faults[number]
            self._mishaps.forget_faults(number)
            return "own"
        self._hardware[device] += not may_be_own(reason)
        before.append(device)
        self._work.discard(device)
        self._mishaps.fault(number, [_told(one) for one in before])
        return "give up" if len(before) >= TRIES else "again"

    def found_wrong(self) -> tuple[Place, tuple[int, ...]] | None:
        """A device that is wrong by all that is known now, and the trials that have failed on it;
        None where there is no further one."""
        devices = {device for places in self._faults.values() for device in places}
        for device in sorted(devices - self.wrong - {NOWHERE}, key=Place.text):
            failed = tuple(sorted(n for n, places in self._faults.items() if device in places))
            # Where trials share a context, the fault of one is told to all of them.
            count = max(0 if self._shared else len(failed), self._hardware[device])
            if count >= FAILURES and self._work - {device}:
                return device, failed
        return None

    def avoid(self, device: Place, number: int, note: str) -> None:
        """Nothing trains there any more, as the note in this trial says."""
        self._mishaps.wrong_device(number, _told(device), note)
        self.wrong.add(device)


def _without_node(place: Place) -> Place:
    return replace(place, node="")


def _told(device: Place) -> list[str]:
    return [device.machine, *device.gpus]


def _place(told: Iterable[str]) -> Place:
    machine, *gpus = told
    return Place(machine, "", tuple(gpus))
