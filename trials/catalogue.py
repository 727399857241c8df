"""The registry of tricks: everything that can be switched on, found by importing its folders.

A new file in ``trials/tricks``, ``trials/losses``, ``trials/conditioning`` or ``trials/tasks`` is
in the catalogue without another line anywhere.
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trials.errors import ConfigError
from trials.problems import Problem, nearest
from trials.trick import Trick

FOLDERS = ("trials.losses", "trials.tricks", "trials.conditioning", "trials.tasks")
SELECTORS = ("loss", "conditioning", "task")
"""Slots that are keys of the configuration; every other trick is a toggle under ``tricks``."""


COSTS = Path(__file__).with_name("costs.json")
"""What tricks cost, as ``benchmarks/tricks.py --write`` measured it."""

_ordered: dict[str, type[Trick]] = {}


@functools.cache
def _import_all() -> None:
    for folder in FOLDERS:
        package = importlib.import_module(folder)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{folder}.{module.name}")


def tricks() -> dict[str, type[Trick]]:
    """Every trick by key, in the order of groups and names."""
    _import_all()
    if _ordered.keys() != Trick.registry.keys():
        _ordered.clear()
        _ordered.update(sorted(Trick.registry.items(), key=lambda item: (item[1].group, item[0])))
    return dict(_ordered)


def in_slot(slot: str) -> dict[str, type[Trick]]:
    """The tricks of one selector: ``loss``, ``conditioning`` or ``task``."""
    return {key: trick for key, trick in tricks().items() if trick.slot == slot}


def toggles() -> dict[str, type[Trick]]:
    """The tricks that stand under ``tricks`` in a configuration."""
    return {key: trick for key, trick in tricks().items() if trick.slot not in SELECTORS}


def get(key: str) -> type[Trick]:
    """The trick called ``key``.

    Raises:
        ConfigError: there is none; the nearest name is given.
    """
    found = tricks().get(key)
    if found is None:
        raise ConfigError([unknown(f"tricks.{key}", key, tricks())])
    return found


def unknown(path: str, key: str, choices: Iterable[str]) -> Problem:
    """The problem of a name that is not in the catalogue."""
    choices = list(choices)
    return Problem(
        path,
        f"there is no '{key}' here",
        expected="one of " + ", ".join(sorted(choices)),
        nearest=nearest(key, choices),
    )


def path_of(key: str) -> str:
    """Where a trick stands in a configuration: ``loss`` or ``tricks.ema``."""
    slot = Trick.registry[key].slot
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
    known = tricks()
    problems = []
    for key, other in ((b, a) for place, b in enumerate(active) for a in active[:place]):
        trick, partner = known[key], known[other]
        reason = trick.conflicts.get(other) or partner.conflicts.get(key)
        if not reason and trick.slot and trick.slot == partner.slot:
            slot = trick.slot.replace("_", " ")
            reason = f"both are a {slot}, and only one can be on"
        if reason:
            problems.append(Problem(path_of(key), f"conflicts with '{other}': {reason}"))
    return problems
