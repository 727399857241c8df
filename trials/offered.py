"""What installed distributions offer: imported where a file asks for it, known where one names it.

What their modules define is kept apart from our own parts and from those that a process defines
itself (`trials.part`). So which parts a name may mean, and which act without being named, follows
from the file that is read or trained, and from none that the same process has met before. Several
threads may read files at once: each has its own names.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from trials import distributions
from trials.errors import ConfigError, in_one_line
from trials.problems import Problem

AnyPart = type[Any]
"""A class of `trials.part.Part`, which stands above."""

_DEFINED: dict[str, dict[tuple[str, str], AnyPart]] = {}
"""Distribution → the parts that its modules have defined, by module and name."""

_OFFERED: dict[str, tuple[AnyPart, ...]] = {}
"""The parts of each distribution whose modules have all been imported."""

_IMPORTING: ContextVar[str] = ContextVar("importing", default="")
"""The distribution whose modules are being imported; empty where none is."""

_KNOWN: ContextVar[tuple[str, ...] | None] = ContextVar("known", default=None)
"""The distributions whose parts are known; None outside of every file and training."""

_USED: list[str] = []
"""The distributions that have been used, the latest first: known where nothing is read or trained,
so that a measure of theirs is called by its title on a page."""


def known() -> tuple[str, ...]:
    """The distributions whose parts are known here, those before that win a name."""
    here = _KNOWN.get()
    return tuple(_USED) if here is None else here


@contextmanager
def known_are(names: Iterable[str], *, remembered: bool = True) -> Iterator[None]:
    """Inside, the parts of these distributions are known, and of no others; behind it too they may
    be told of where they are `remembered`."""
    here = tuple(dict.fromkeys(names))
    if remembered:
        _remember((*here, *_USED))
    token = _KNOWN.set(here)
    try:
        yield
    finally:
        _KNOWN.reset(token)


@contextmanager
def used_for_now() -> Iterator[None]:
    """What is used inside is forgotten after it."""
    before = tuple(_USED)
    try:
        yield
    finally:
        _remember(before)


def _remember(names: Iterable[str]) -> None:
    _USED[:] = dict.fromkeys(names)  # in one step: other threads look at it


def importing() -> bool:
    """Whether a distribution is being imported because a file asks for its parts."""
    return bool(_IMPORTING.get())


def keep(part: AnyPart) -> None:
    """Keep a part that is defined while a distribution is imported, which may import another's:
    it is of the one that its module belongs to, or else of the one being imported."""
    owner = distributions.owner_of(part.__module__, distributions.installed())
    name = _IMPORTING.get() if owner is None else owner.name
    _DEFINED.setdefault(name, {})[part.__module__, part.__qualname__] = part


def of_kind(kind: str, names: Iterable[str]) -> dict[str, AnyPart]:
    """The parts of a kind that distributions offer, by key; the first to have a name has it."""
    found: dict[str, AnyPart] = {}
    for name in names:
        for part in _OFFERED.get(name, ()):
            if part.kind == kind:
                found.setdefault(part.key, part)
    return found


def offered_by(name: str) -> tuple[AnyPart, ...]:
    """The parts of an installed distribution, whose modules are imported for it; without those that
    this process has imported itself before, which are known anyway.

    Raises:
        ConfigError: it is not installed, offers no parts, cannot be imported, or a part of it lacks
            a method.
    """
    name = distributions.canonical(name)
    if name in _OFFERED:
        return _OFFERED[name]
    if name not in distributions.installed():
        distributions.installed.cache_clear()  # it may have been installed since
    there = distributions.installed()
    if name not in there:
        raise ConfigError([distributions.missing("", name, there)])
    token = _IMPORTING.set(name)
    try:
        there[name].load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # another person's code: it may want the process to end, too
        told = f"'{name}' cannot be imported: {in_one_line(error)}"
        raise ConfigError([Problem("", told)]) from error
    finally:
        _IMPORTING.reset(token)
    own = tuple(_DEFINED.get(name, {}).values())
    unfinished = [part for part in own if inspect.isabstract(part)]
    if unfinished:
        lacks = [f"the {part.kind} '{part.key}' lacks {_lacking(part)}" for part in unfinished]
        raise ConfigError([Problem("", f"of '{name}', {'; '.join(lacks)}")])
    _OFFERED[name] = own
    return own


def not_known() -> list[str]:
    """The installed distributions with parts that are not known here. None of them is imported to
    tell: which of them has a name, a file that names none of them cannot learn."""
    return [name for name in distributions.installed() if name not in known()]


def _lacking(part: AnyPart) -> str:
    """The methods that its base class asks for and that it has not."""
    return ", ".join(sorted(getattr(part, "__abstractmethods__", ())))
