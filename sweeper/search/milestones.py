"""The steps at which a population is compared. Apart, so that a worker needs no more than this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Milestones:
    """The steps at which a population is compared: multiples of `interval` from `grace` on."""

    interval: int
    grace: int

    def reached(self, before: int, step: int) -> int | None:
        """The milestone that was crossed between two evaluations, the later one if several."""
        last = step // self.interval * self.interval
        return last if last > before and last >= max(self.grace, 1) else None
