"""Whose checkpoint of which milestone is there for others (population based training).

Every trial keeps one at each milestone. Once all have come past it, those of a few stay, and the
study says of which trials; the evaluation by which a trial comes to it later has written beside it
how often that had been settled. So whatever was kept since then is known to be there too: by trials
that are asked for when the sweep is extended, by those that are tried again, and by those that
begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from optuna.study import Study

from sweeper.search.attributes import SETTLED, STAYS, evaluations, translated


class Stays(NamedTuple):
    """The `numbers` of the trials whose checkpoint of a milestone stays, and how many `times` that
    was settled."""

    numbers: frozenset[int]
    times: int


class Staying:
    """The checkpoints that stay in one sweep, by milestone; its one driver alone changes that."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._since: dict[int, dict[int, int]] = {}
        """Of each trial, how often a milestone had been settled when it came to that."""

    @cached_property
    def _stays(self) -> dict[int, Stays]:
        with translated():
            attrs = self._study.user_attrs
        return {
            int(key.removeprefix(STAYS)): Stays(frozenset(stays["numbers"]), stays["times"])
            for key, stays in attrs.items()
            if key.startswith(STAYS)
        }

    def learn(self, number: int, attrs: Mapping[str, Any], interval: int) -> None:
        """Take in the evaluations of a trial, milestones being multiples of `interval` steps."""
        reached: dict[int, int] = {}
        for step, entry in evaluations(attrs).items():
            # The checkpoint is that of the first one there; a later one may find it removed.
            reached.setdefault(step // interval * interval, entry.get(SETTLED, 0))
        self._since[number] = reached

    def times(self, milestone: int) -> int:
        """How often it was settled what stays of the milestone; 0 while everything is there."""
        return self._stays[milestone].times if milestone in self._stays else 0

    def there(self, milestone: int) -> set[int] | None:
        """The trials whose checkpoint of the milestone is there; None: those of all."""
        if milestone not in self._stays:
            return None
        numbers, times = self._stays[milestone]
        since = self._since.items()
        return {*numbers, *(one for one, settled in since if settled.get(milestone) == times)}

    def settle(self, milestone: int, numbers: set[int]) -> None:
        """Of the milestone, the checkpoints of these trials stay and no other: that is in the study
        when this returns."""
        if self.there(milestone) == numbers:
            return
        stays = Stays(frozenset(numbers), self.times(milestone) + 1)
        entry = {"numbers": sorted(numbers), "times": stays.times}
        self._study.set_user_attr(f"{STAYS}{milestone}", entry)
        self._stays[milestone] = stays
