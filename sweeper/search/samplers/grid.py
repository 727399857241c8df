"""Every combination of values once, the last parameter changing fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sweeper.parts import Fault
from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile.domains import Parameter, Range, canonical, same
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, count_trials, grid_points


class Grid(Sampler):
    """Goes through the points of the space, but for one that is the base configuration."""

    key = "grid"
    summary = "every combination of values, once"
    ends = True
    objectives = 2

    def __init__(self, config: Any, sweep: Sweep) -> None:
        super().__init__(config, sweep)
        self._points: Iterator[Draw] = grid_points(sweep)
        self._next: Draw | None = None

    @classmethod
    def check(cls, config: Any, parameters: Sequence[Parameter]) -> Iterable[Fault]:
        for parameter in parameters:
            if isinstance(parameter.domain, Range) and parameter.domain.size() is None:
                yield Fault(
                    ("parameters", parameter.path),
                    "a grid cannot go through a range without steps",
                    "`values`, or a distribution with `q`",
                )

    def propose(self, turn: Turn) -> Draw | None:
        while self._next is None or canonical(self._next.values) in turn.tried:
            self._next = next(self._points, None)
            if self._next is None:
                return None
        return self._next

    def honour(self, turn: Turn) -> Draw | None:
        """The first point with the `fixed` values that has not been asked yet."""
        for draw in grid_points(self.sweep):
            fits = all(same(draw.values.get(path), value) for path, value in turn.fixed.items())
            if fits and canonical(draw.values) not in turn.tried:
                return draw
        return None

    def count(self, beside: bool) -> int | None:
        return count_trials(self.sweep, beside)
