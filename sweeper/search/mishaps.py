"""What the study keeps of the mishaps of a trial at work: workers that died under it, memory that
was too small, devices that were wrong. What follows from them is said in
`sweeper.scheduling.conducting.setbacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from optuna.trial import FrozenTrial

from sweeper.search import attributes
from sweeper.search.entries import Entries


class Mishaps:
    """Writes down the mishaps of one sweep's trials. `together` guards a write."""

    def __init__(
        self, entries: Entries, together: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._entries = entries
        self._together = together

    def died(self, number: int, machine: str = "") -> tuple[int, dict[str, int]]:
        """A worker on `machine` has died under the trial. The last step of which something is
        known, and how many have died since then, by machine."""
        trial = self._entries.get(number)
        reached = max(attributes.evaluations(trial.user_attrs), default=0)
        before = trial.user_attrs.get("deaths", {})
        known = before.get("machines", {}) if before.get("step") == reached else {}
        machines = {**known, machine: known.get(machine, 0) + 1}
        count = sum(machines.values())
        told = {"count": count, "step": reached, "machines": machines}
        with self._together():
            self._entries.set(number, "deaths", told)
        return reached, machines

    def run_out(self, number: int, note: str) -> None:
        """The trial ran out of memory, as the note for a reader says, and is to be alone on its
        device from now on."""
        with self._together():
            self._entries.set(number, attributes.ALONE, True)
            self._entries.note(number, note)

    def ran_out(self, number: int) -> bool:
        """Whether it is."""
        return attributes.ALONE in self._entries.get(number).user_attrs

    def fault(self, number: int, devices: list[list[str]]) -> None:
        """The trial has failed by its device, on all of these so far."""
        with self._together():
            self._entries.set(number, attributes.FAULTS, devices)

    def forget_faults(self, number: int) -> None:
        """No device was at fault."""
        with self._together():
            self._entries.set(number, attributes.FAULTS, None)

    def wrong_device(self, number: int, device: list[str], note: str) -> None:
        """Nothing is to train on the device any more, as the note in this trial says."""
        known = self._entries.get(number).user_attrs.get(attributes.WRONG, [])
        with self._together():
            self._entries.set(number, attributes.WRONG, [*known, device])
            self._entries.note(number, note)

    def faults(self) -> dict[int, list[list[str]]]:
        """The devices by which trials have failed, by the numbers of the trials."""
        found = self._of_all(attributes.FAULTS)
        return {attributes.number_of(entry): told for entry, told in found}

    def wrong_devices(self) -> list[list[str]]:
        """Those on which nothing is to train any more."""
        return [device for _, told in self._of_all(attributes.WRONG) for device in told]

    def _of_all(self, name: str) -> Iterator[tuple[FrozenTrial, Any]]:
        for entry in self._entries.all():
            if told := entry.user_attrs.get(name):
                yield entry, told
