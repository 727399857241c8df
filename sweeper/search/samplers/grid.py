"""Every combination of values once, the last parameter changing fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sweeper.parts import Fault
from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, count_trials, grid_points


class Grid(Sampler):
    """Goes through the points of the space, but for one that is the base configuration."""

    key = "grid"
    summary = "every combination of values, once"
    ends = True

    def __init__(self, config: Any, sweep: Sweep) -> None:
        super().__init__(config, sweep)
        self._points: Iterator[Draw] = iter(())
        self._next = 0

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
        # Only a place that lies behind is worth beginning again for.
        if turn.index < self._next or self._next == 0:
            self._points, self._next = grid_points(self.sweep), 0
        for draw in self._points:
            if draw.values == turn.start:
                continue
            self._next += 1
            if self._next == turn.index + 1:
                return draw
        return None

    def count(self, beside: bool) -> int | None:
        return count_trials(self.sweep, beside)
