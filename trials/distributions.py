"""Installed distributions that offer parts, under the entry-point group `gan_sweeper.parts`.

    [project.entry-points."gan_sweeper.parts"]
    my_parts = "my_parts"                      # importing the module registers its parts

A file names distributions (`parts: [my-lab-parts]`), never modules or paths, so that it can only
make code run which the machine's owner has installed. Reading what is there imports none of it.
This file imports no torch.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

from trials.problems import Problem, nearest

GROUP = "gan_sweeper.parts"

OURS = "gan-sweeper"
"""The distribution of this package."""


@dataclass(frozen=True)
class Distribution:
    """An installed distribution and the modules that define its parts."""

    name: str
    version: str
    entry_points: tuple[EntryPoint, ...]

    def load(self) -> None:
        """Import its modules, which registers its parts.

        Raises:
            Exception: whatever its code raises.
        """
        for entry in self.entry_points:
            entry.load()

    def shares(self, module: str) -> int:
        """How many leading names a module's dotted path shares with one of its entry points."""
        return max(_shared(entry.module, module) for entry in self.entry_points)


_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""What may name a distribution."""


def canonical(name: str) -> str:
    """A distribution's name as it is compared: `My_Lab.parts` is `my-lab-parts`."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def installed() -> Mapping[str, Distribution]:
    """Every installed distribution that offers parts, by canonical name. Imports none of them."""
    offered: dict[str, list[EntryPoint]] = {}
    versions: dict[str, str] = {}
    for entry in entry_points(group=GROUP):
        if entry.dist is not None:
            name = canonical(entry.dist.name)
            offered.setdefault(name, []).append(entry)
            versions[name] = entry.dist.version
    return {
        name: Distribution(name, versions[name], tuple(entries))
        for name, entries in sorted(offered.items())
    }


def owner_of(module: str, among: Mapping[str, Distribution]) -> Distribution | None:
    """The distribution that a module belongs to, by the entry point nearest to it; None: none."""
    shared = {name: distribution.shares(module) for name, distribution in among.items()}
    best = max(shared, key=shared.__getitem__, default=None)
    return among[best] if best is not None and shared[best] else None


def version_of(name: str) -> str:
    """The installed version of a distribution; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def missing(path: str, name: str, offered: Iterable[str]) -> Problem:
    """The problem of a distribution that is named and not there."""
    install = f"it to be installed: pip install {name}"
    return Problem(
        path,
        f"no installed distribution '{name}' offers parts",
        expected=install if _NAME.fullmatch(name) else "a name that pip knows, not a file",
        nearest=nearest(canonical(name), offered),
    )


def _shared(first: str, other: str) -> int:
    count = 0
    for mine, theirs in zip(first.split("."), other.split("."), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
