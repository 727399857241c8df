"""What a search has asked so far, each of its trials looked at once.

What a trial was asked as never changes, and a search asks thousands of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from optuna.trial import FrozenTrial

from sweeper.search.attributes import TRIED
from sweeper.sweepfile.domains import canonical

_GIVEN = {"enqueued", TRIED}
"""What marks a trial of the search that nobody has proposed."""

_number = attrgetter("number")


class Asked:
    """The trials of one search as they were asked."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._numbers: list[int] = []
        self.base: FrozenTrial | None = None
        """The first one of the base configuration."""
        self.values: list[dict[str, Any]] = []
        """Of each trial that the search has asked, in their order."""
        self.points: set[str] = set()
        """The same, and the base configuration, spelt canonically."""
        self.tries: set[int] = set()
        """The places in `search.try` of those that stand there."""
        self.proposals = 0
        """How many of them a sampler has proposed."""

    def see(self, own: Sequence[FrozenTrial]) -> None:
        """Look at those of the sweep's own entries that are new."""
        numbers = list(map(_number, own))
        known = len(self._numbers)
        if numbers[:known] != self._numbers:  # one was tried again, or is the sweep's no longer
            self._forget()
            known = 0
        for entry in own[known:]:
            self._add(entry)
        self._numbers = numbers

    def _add(self, entry: FrozenTrial) -> None:
        attrs = entry.user_attrs
        if attrs["role"] == "base":
            if self.base is not None:
                return
            self.base = entry
        elif attrs["role"] == "search":
            self.values.append(attrs["values"])
            self.proposals += not attrs.keys() & _GIVEN
            if TRIED in attrs:
                self.tries.add(attrs[TRIED])
        else:
            return
        self.points.add(canonical(attrs["values"]))
