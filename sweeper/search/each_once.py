"""What is made of each item of a list that grows, made once for each.

Whoever watches a study of thousands of trials sees few of them change between two looks: storages
hand out the same object for an entry that nobody has written to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from operator import is_not
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class EachOnce(Generic[Item, Made]):
    """Applies a function to the items of a list, and again only to those that are other objects
    than at their places in the list before."""

    def __init__(self, make: Callable[[Item], Made]) -> None:
        self._make = make
        self._kept: tuple[Sequence[Item], list[Made]] = ((), [])

    def of(self, items: Sequence[Item]) -> list[Made]:
        """What the function makes of each; the caller leaves both lists as they are."""
        before, known = self._kept
        if items is before:
            return known
        made = known[: len(items)]
        for place in compress(range(len(made)), map(is_not, items, before)):
            made[place] = self._make(items[place])
        made += map(self._make, items[len(made) :])
        self._kept = items, made  # at once: several threads may ask
        return made
