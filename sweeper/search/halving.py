"""Asynchronous successive halving, decided from curves (Li et al. 2020, arXiv 1810.05934).

Optuna's pruner keeps a trial's rungs in its attributes as it is asked, so that a second question
gets another answer. This remembers nothing; on curves with at most one rung an evaluation it
decides as Optuna's does, which a test holds it to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sweeper.search.stopping_rule import Curve, first_at, is_worse


@dataclass(frozen=True)
class Halving:
    """Rungs at grace · factor^(rate + k) steps, k = 0, 1, …

    A trial that reaches a rung goes on if its value there is among the best 1/factor of all values
    known at that rung; while fewer than `factor` trials have been there, if it is the best of them.
    """

    grace: int
    factor: int
    maximize: bool
    rate: int = 0

    def __call__(self, number: int, curves: Mapping[int, Curve]) -> str | None:
        """Why trial `number` is stopped at its last step; None to let it go on."""
        mine = curves[number]
        if not mine:
            return None
        last = max(mine)
        for milestone in self.rungs(last):
            if first_at(mine, milestone) != last:
                continue  # decided at an earlier evaluation, and it went on
            rivals = sorted(
                (curve[step] for curve in curves.values() if (step := first_at(curve, milestone))),
                reverse=self.maximize,
            )
            places = max(1, len(rivals) // self.factor)
            if is_worse(mine[last], rivals[places - 1], self.maximize):
                return (
                    f"{mine[last]:.4g} at step {last} is not among the best {places} of "
                    f"{len(rivals)} values at rung {milestone}"
                )
        return None

    def rungs(self, last: int) -> Iterator[int]:
        """The milestones up to step `last`."""
        milestone = self.grace * self.factor**self.rate
        while milestone <= last:
            yield milestone
            milestone *= self.factor
