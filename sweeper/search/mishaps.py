"""What the study keeps of the mishaps of a trial at work: workers that died under it, memory that
was too small. What follows from them is said elsewhere (`sweeper.scheduling.setbacks`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

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
