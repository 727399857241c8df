"""The catalogue of tricks: everything that can be switched on, and how it stands to the rest.

A new file in `trials/tricks`, `trials/losses`, `trials/conditioning` or `trials/tasks` is
in the catalogue without another line anywhere.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from trials.by_name import ByName, Switches
from trials.part import Part
from trials.problems import Problem
from trials.trick import Trick

SELECTORS = ("loss", "conditioning", "task")
"""Slots that are keys of the configuration; every other trick is a toggle under `tricks`."""

COSTS = Path(__file__).with_name("costs.json")
"""What tricks cost, as `benchmarks/tricks.py --write` measured it."""


def tricks() -> dict[str, type[Trick]]:
    """Every trick by key, in the order of groups and names."""
    return Trick.all()


def in_slot(slot: str) -> dict[str, type[Trick]]:
    """The tricks of one selector: `loss`, `conditioning` or `task`."""
    return {key: trick for key, trick in tricks().items() if trick.slot == slot}


def toggles() -> dict[str, type[Trick]]:
    """The tricks that stand under `tricks` in a configuration."""
    return {key: trick for key, trick in tricks().items() if trick.slot not in SELECTORS}


class Selected(ByName):
    """The one trick of a selector, by its name or a mapping with its knobs."""

    def __init__(self, slot: str) -> None:
        super().__init__(Trick)
        self.slot = slot

    def options(self) -> Mapping[str, type[Part]]:
        return in_slot(self.slot)

    def what(self) -> str:
        return self.slot


class Toggles(Switches):
    """The tricks that stand under `tricks`."""

    def __init__(self) -> None:
        super().__init__(Trick)

    def options(self) -> Mapping[str, type[Part]]:
        return toggles()

    def unknown(self, key: str) -> Problem:
        trick = tricks().get(key)
        if trick is None:
            return super().unknown(key)
        return Problem("", "is not a toggle", f"`{trick.slot}: {key}`")


def path_of(key: str) -> str:
    """Where a trick stands in a configuration: `loss` or `tricks.ema`."""
    slot = tricks()[key].slot
    return slot if slot in SELECTORS else f"tricks.{key}"


@functools.cache
def costs() -> Mapping[str, float]:
    """Key → time of a training step with the trick over that without it, where it was measured."""
    ratios: dict[str, float] = json.loads(COSTS.read_text("utf-8"))["ratios"]
    return ratios


def cost_in_words(key: str) -> str:
    """What a trick costs, or how to find out."""
    ratio = costs().get(key)
    if ratio is None:
        return f"not measured; `python benchmarks/tricks.py {key}` does"
    return f"{ratio:.2f} times the time of a step without it"


def clashes(active: Sequence[str]) -> list[Problem]:
    """Conflicts, doubly filled slots and unmet requirements among the keys that are on."""
    problems = conflicts(active)
    for key in active:
        requires = tricks()[key].requires
        if requires and not set(requires) & set(active):
            named = " or ".join(repr(name) for name in requires)
            problems.append(Problem(path_of(key), f"'{key}' needs {named}"))
    return problems


def conflicts(active: Sequence[str]) -> list[Problem]:
    """Pairs of keys that exclude one another, by their own word or as rivals for a slot."""
    classes = tricks()
    problems = []
    for key, other in ((b, a) for place, b in enumerate(active) for a in active[:place]):
        trick, partner = classes[key], classes[other]
        reason = trick.conflicts.get(other) or partner.conflicts.get(key)
        if not reason and trick.slot and trick.slot == partner.slot:
            slot = trick.slot.replace("_", " ")
            reason = f"both are a {slot}, and only one can be on"
        if reason:
            problems.append(Problem(path_of(key), f"conflicts with '{other}': {reason}"))
    return problems
