"""Where a part comes from: this package, a distribution of a version, or code not installed.

What is not installed (a class of a notebook, of a script, of a module beside it) is known by a hash
of its source: of the class, and of what it uses of its own module, and so on.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trials import distributions
from trials.errors import in_one_line
from trials.part import Part, everything

OUR_PACKAGES = ("trials", "sweeper")


@dataclass(frozen=True)
class Origin:
    """`source` is a distribution, or the module of a part that is not of one; `version` is the
    distribution's, or `sha256:…` of the part's source."""

    source: str
    version: str
    installed: bool

    @property
    def ours(self) -> bool:
        """Whether it comes with this package."""
        return self.source == distributions.OURS

    def __str__(self) -> str:
        """`my-lab-parts 1.0`, `__main__ sha256:0123456789ab`."""
        return f"{self.source} {self.version}".strip()


_TOLD: dict[type[Part], Origin] = {}
"""Of parts that another process sent: their source lies there."""


def sent_from(part: type[Part], origin: Origin) -> None:
    """Say where a part comes from that was sent to this process by value."""
    _TOLD[part] = origin


def origin_of(part: type[Part]) -> Origin:
    """Where a part comes from."""
    if part in _TOLD:
        return _TOLD[part]
    name = _distribution_of(part.__module__)
    if name is not None:
        return Origin(name, distributions.version_of(name), installed=True)
    return Origin(part.__module__, f"sha256:{source_hash(part)[:12]}", installed=False)


def foreign_in_words(parts: Iterable[type[Part]]) -> str:
    """What a protocol says of parts that are not ours: `; mine of my-lab-parts 1.0`; else
    nothing. Another version may measure otherwise."""
    origins = {part.key: origin_of(part) for part in parts}
    return "".join(f"; {key} of {origin}" for key, origin in origins.items() if not origin.ours)


def raised_by_another(error: BaseException) -> str | None:
    """An exception in one line, with the place in another person's part that it came through:
    `ValueError: no idea, in Mine.propose of my-lab-parts 1.0 (my_lab.py, line 12)`; None where no
    such part was at work."""
    modules = {part.__module__: part for part in everything() if not origin_of(part).ours}
    told = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        part = modules.get(frame.f_globals.get("__name__", ""))
        if part is not None:  # the innermost place is the one to tell
            where = frame.f_code.co_qualname.rpartition("<locals>.")[2]
            file = Path(frame.f_code.co_filename).name
            told = f"{in_one_line(error)}, in {where} of {origin_of(part)} ({file}, line {line})"
    return told


def is_installed(module: str) -> bool:
    """Whether a module comes with Python or with an installed distribution."""
    package = module.partition(".")[0]
    return package in sys.stdlib_module_names or _distribution_of(module) is not None


def _distribution_of(module: str) -> str | None:
    package = module.partition(".")[0]
    if package in OUR_PACKAGES:
        return distributions.OURS
    if owner := distributions.owner_of(module, distributions.installed()):
        return owner.name
    named = _packages().get(package, ())
    return next((name for name in named if _holds(name, module)), None)


def _holds(name: str, module: str) -> bool:
    """Whether a distribution that has a package of that name has this module of it: a folder beside
    a script may be called like a package that is installed, and comes before it."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return True
    there = distribution(name)
    places = [Path(str(there.locate_file("")))]
    if told := there.read_text("direct_url.json"):  # an editable install lies where its source is
        places.append(Path(url2pathname(urlsplit(json.loads(told)["url"]).path)))
    return any(Path(file).resolve().is_relative_to(place.resolve()) for place in places)


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return packages_distributions()


def source_hash(part: type[Part]) -> str:
    """sha256 of a part's source and of all that it uses of its own module, whatever that uses."""
    texts: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [(part.__qualname__, part)]
    while waiting:
        name, piece = waiting.pop()
        if name in texts:
            continue
        if isinstance(piece, type | FunctionType):
            texts[name] = _text(piece)
            waiting += _uses(piece)
        else:
            texts[name] = repr(piece)
    told = "\n".join(f"{name}\n{text}" for name, text in sorted(texts.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def _text(piece: Any) -> str:
    """The source of a class or function; its compiled form where no source is to be had."""
    try:
        return inspect.getsource(piece)
    except (OSError, TypeError):  # typed into an interpreter
        return "\n".join(_compiled(code) for code in _codes(piece))


def _compiled(code: CodeType) -> str:
    constants = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    return f"{code.co_name} {code.co_code.hex()} {code.co_names!r} {constants!r}"


def _codes(piece: Any) -> Iterator[CodeType]:
    """The code of a function, or of every method of a class, with all that is nested in them."""
    for function in _functions(piece):
        yield from _nested(function)


def _functions(piece: Any) -> Iterator[FunctionType]:
    """A function itself; of a class, every method, and those of the classes in it."""
    if not isinstance(piece, type):
        yield piece
        return
    for member in vars(piece).values():
        inner = getattr(member, "__func__", member)
        nested = getattr(inner, "__qualname__", "").startswith(f"{piece.__qualname__}.")
        if nested and isinstance(inner, type | FunctionType):
            yield from _functions(inner)


def _nested(function: FunctionType) -> Iterator[CodeType]:
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _uses(piece: Any) -> Iterator[tuple[str, Any]]:
    """What a class or function names of its own module: classes, functions and plain values."""
    for base in piece.__bases__ if isinstance(piece, type) else ():
        if base.__module__ == piece.__module__:
            yield base.__qualname__, base
    for name, value in globals_in(piece):
        if isinstance(value, type | FunctionType):
            if value.__module__ == piece.__module__:
                yield value.__qualname__, value
        elif isinstance(value, bool | int | float | str | tuple):
            yield name, value


def globals_in(piece: type | FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that the code of a class or function names, and their values, in order."""
    names = {name for code in _codes(piece) for name in code.co_names}
    module = sys.modules.get(piece.__module__)
    if module is not None:
        there = vars(module)
    else:  # code that was run from its file by hand
        there = {}
        for function in _functions(piece):
            there |= function.__globals__
    yield from ((name, there[name]) for name in sorted(names & there.keys()))
