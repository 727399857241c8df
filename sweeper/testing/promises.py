"""What a promise is: a function of a part and an empty folder that raises where it is not kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Promise = Callable[[Any, Path], None]
"""(part, an empty folder) → nothing, or `Broken`."""

EVERY = ""
"""Stands for the promises of every kind of part."""

_PROMISES: dict[str, list[Promise]] = {}


class Broken(AssertionError):  # noqa: N818 - what happened
    """A part does not keep what its base class promises."""


def promise(kind: str) -> Callable[[Promise], Promise]:
    """Make a function one of the promises of a kind of part."""

    def add(function: Promise) -> Promise:
        _PROMISES.setdefault(kind, []).append(function)
        return function

    return add


def registered_for(kind: str) -> tuple[Promise, ...]:
    """The promises of a kind: those of every part first."""
    return (*_PROMISES.get(EVERY, ()), *_PROMISES.get(kind, ()))


def require(holds: object, otherwise: str) -> None:
    """Raise `Broken` with a sentence where something does not hold."""
    if not holds:
        raise Broken(otherwise)
