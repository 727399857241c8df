"""Parts: whatever a file can choose by name.

A part is one class in one file, with a `key`, a `Config` that holds every default and every
range that a sweep searches, and the method or two that are its job. The base class of a kind
(`Trick`, a data source, a sampler) states its `kind` and the `folders`
that hold our own parts of it. Subclassing a base registers the part; configurations, JSON schema,
nearest names, listings, documentation and conformance suites are made from the registry, so a new
part is one new file.

This file imports no torch: names and knobs can be read without it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self, TypeVar, cast

from pydantic import ConfigDict, Field

from trials import distributions, offered
from trials.errors import ConfigError
from trials.problems import Problem, nearest
from trials.written import Written

AnyClass = TypeVar("AnyClass", bound=type[Any])


class PartConfig(Written):
    """The knobs of one part: frozen, finite, and closed to names it does not know."""

    model_config = ConfigDict(allow_inf_nan=False, protected_namespaces=(), validate_default=True)

    part: ClassVar[type[Part]]
    """The part whose knobs these are."""

    @property
    def name(self) -> str:
        """The key of the part."""
        return self.part.key

    @classmethod
    def counted(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """What counts of a mapping in a file, before it is checked: all of it, but for what records
        of a former version say of parts that have no such knob."""
        return dict(given)

    def as_dict(self, tag: str = "name") -> dict[str, Any]:
        """`{name: …, knob: …}`, every knob written out, as it stands in a file."""
        return {tag: self.part.key, **self.model_dump(mode="json")}


def knob(
    default: Any, meaning: str, *, search: Mapping[str, Any] | None = None, **limits: Any
) -> Any:
    """A knob with its default, its meaning, its limits (`gt`, `ge`, `lt`, `le`) and the
    domain that a sweep searches by default, in the words of the sweep file."""
    extra: Any = {"search": dict(search)} if search is not None else None
    return Field(default=default, description=meaning, json_schema_extra=extra, **limits)


class Part:
    """The base of every kind of part. A kind is a subclass that states `kind`."""

    kind: ClassVar[str] = ""
    """What it is in a sentence: `trick`, `data source`, `sampler`."""

    folders: ClassVar[tuple[str, ...]] = ()
    """The packages whose modules are our own parts of this kind, imported when asked for."""

    key: ClassVar[str] = ""
    """Its name in files. A class without one is a base and is not registered."""

    summary: ClassVar[str] = ""
    """What it does, in a clause."""

    reread: ClassVar[tuple[str, ...]] = ()
    """How the same settings are read now and were not before, in words, in the order of these
    changes: a sweep that began before the last of them is told."""

    Config: ClassVar[type[PartConfig]] = PartConfig

    configs: ClassVar[tuple[str, ...]] = ("Config",)
    """The class attributes that hold its knobs, where a kind has more than one; one may be None."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _BASES[cls.kind] = cls
            _REGISTRY.setdefault(cls.kind, {})
        elif cls.__dict__.get("key"):
            register(cls)

    @classmethod
    def all(cls) -> dict[str, type[Self]]:
        """Every part of this kind that is known here (`using`) by key, in the kind's order; below a
        kind, its subclasses."""
        names = offered.known()
        cached = _LISTED.get((cls, names))
        if cached is None:
            _import_folders(cls.folders)
            listed = [part for part in registered(cls.kind).values() if issubclass(part, cls)]
            cached = {part.key: part for part in sorted(listed, key=lambda part: part.rank())}
            _LISTED[cls, names] = cached
        return cast("dict[str, type[Self]]", dict(cached))

    @classmethod
    def named(cls, key: str, path: str = "") -> type[Self]:
        """The part called `key`.

        Raises:
            ConfigError: there is none; the nearest name is given, at `path`.
        """
        part = cls.all().get(key)
        if part is None:
            raise ConfigError([unknown_name(path, key, cls.kind, list(cls.all()))])
        return part

    @classmethod
    def acts_unnamed(cls) -> bool:
        """Whether it takes part in trainings whose file does not name it."""
        return False

    @classmethod
    def rank(cls) -> tuple[Any, ...]:
        """Where it stands in a listing of its kind."""
        return (cls.key,)

    @classmethod
    def search_ranges(cls) -> dict[str, dict[str, Any]]:
        """Knob → the domain searched by default, in the words of the sweep file."""
        return {
            name: dict(cast("dict[str, Any]", extra["search"]))
            for name, info in cls.Config.model_fields.items()
            if isinstance(extra := info.json_schema_extra, dict) and "search" in extra
        }

    @classmethod
    def description(cls) -> str:
        """What it is, at length: the text at the top of its file."""
        module = inspect.getmodule(cls)
        return inspect.getdoc(module if module and module.__doc__ else cls) or ""


_BASES: dict[str, type[Part]] = {}
_REGISTRY: dict[str, dict[str, type[Part]]] = {}
"""Of each kind, our own parts and those that this process has defined itself, by key."""
_LISTED: dict[tuple[type[Part], tuple[str, ...]], dict[str, type[Part]]] = {}
_IMPORTED: set[str] = set()


def register(part: type[Part]) -> None:
    """Make a part known. Subclassing does so; a class that was sent to another process needs it.

    The same class defined again (a notebook's cell run twice) takes the place of the first. One of
    an installed distribution that is imported for a file is known where a file names that.

    Raises:
        TypeError: another part of its kind has its key.
    """
    aside = offered.importing() and not _is_in_a_folder(part)
    other = None if aside else _REGISTRY[part.kind].get(part.key)
    if other is not None and _place(other) != _place(part):
        raise TypeError(_clash(part, other))
    for attribute in part.configs:
        config = getattr(part, attribute)
        if config is None:
            continue
        if attribute not in part.__dict__:  # knobs belong to one part, and can say to which
            name = f"{part.__qualname__}.{attribute}"
            place = {"__module__": part.__module__, "__qualname__": name}
            config = type(attribute, (config,), place)
            setattr(part, attribute, config)
        config.part = part
    if aside:
        offered.keep(part)
    else:
        _REGISTRY[part.kind][part.key] = part
    _LISTED.clear()


@contextmanager
def temporary_parts() -> Iterator[None]:
    """What is registered inside the block is forgotten after it: for tests that define parts.

    Our own parts stay, also those of a folder that was first imported inside.
    """
    kept = {kind: dict(parts) for kind, parts in _REGISTRY.items()}
    try:
        with offered.used_for_now():
            yield
    finally:
        for kind, parts in _REGISTRY.items():
            own = {key: part for key, part in parts.items() if _is_in_a_folder(part)}
            parts.clear()
            parts.update(own | kept.get(kind, {}))
        _LISTED.clear()


def bases() -> dict[str, type[Part]]:
    """The base class of each kind of part, of those that have been imported."""
    return dict(_BASES)


def registered(kind: str) -> dict[str, type[Part]]:
    """The parts of a kind that are known here and have been imported so far, by key."""
    return offered.of_kind(kind, offered.known()) | _REGISTRY[kind]


def unknown_name(path: str, key: object, kind: str, choices: list[str]) -> Problem:
    """The problem of a name that no part of a kind has."""
    others = ", ".join(offered.not_known())
    unasked = f"; `parts` can name the distribution that has it, of {others}" if others else ""
    return Problem(
        path,
        f"there is no {kind} '{key}'",
        expected="one of " + ", ".join(sorted(choices)) + unasked,
        nearest=nearest(str(key), choices),
    )


# Parts of other distributions ---------------------------------------------------------------


@contextmanager
def using(asked: Mapping[str, object]) -> Iterator[list[Problem]]:
    """Inside, the parts of the distributions that a file asks for are known beside ours and those
    that this process has defined itself; those of no other are, whatever was read before.

    `asked` has the names by the path where they stand: `{"parts": ["my-lab-parts"]}`. Yields what
    is wrong: a name that is no installed distribution with parts, one whose modules cannot be
    imported, or a part whose key another one has.
    """
    names: list[str] = []
    problems = []
    for path, given in asked.items():
        given = given or ()
        if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
            wrong, expected = f"{given!r} is wrong", "a list of installed distributions"
            problems.append(Problem(path, wrong, expected))
            continue
        for position, name in enumerate(given):
            found = _add(names, name)
            problems += [replace(problem, path=f"{path}.{position}") for problem in found]
    with offered.known_are(names):
        yield problems


def with_its_parts(owner: AnyClass) -> AnyClass:
    """Has every public method of a class run where the parts of its `config` are known."""

    def within(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def called(self: Any, *args: Any, **named: Any) -> Any:
            with using({"parts": self.config.parts}):
                return method(self, *args, **named)

        return called

    for name, method in list(vars(owner).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(owner, name, within(method))
    return owner


@contextmanager
def using_installed() -> Iterator[list[Problem]]:
    """Inside, the parts of every installed distribution are known, for listings of what there is.

    Yields a problem, with the distribution as its path, for each that cannot be imported.
    """
    names: list[str] = []
    problems = []
    for name in distributions.installed():
        problems += [replace(problem, path=name) for problem in _add(names, name)]
    with offered.known_are(names, remembered=False):
        yield problems


def _add(names: list[str], name: str) -> list[Problem]:
    """Add a distribution to those that are asked for. What is wrong with it."""
    try:
        parts = offered.offered_by(name)
    except ConfigError as error:
        return error.problems
    names.append(distributions.canonical(name))
    clashes = [_clash(part, other) for part in parts if (other := _rival(part, names))]
    return [Problem("", f"'{name}': {clash}") for clash in clashes]


def _rival(part: type[Part], names: Iterable[str]) -> type[Part] | None:
    """Another part of its kind that has its key: ours, the process's own, or an earlier one that
    those distributions offer."""
    _import_folders(_BASES[part.kind].folders)
    other = offered.of_kind(part.kind, names) | _REGISTRY[part.kind]
    rival = other.get(part.key)
    return rival if rival is not None and _place(rival) != _place(part) else None


def _clash(part: type[Part], other: type[Part]) -> str:
    return f"two parts ({part.kind}) are called '{part.key}': {other!r} and {part!r}"


def everything() -> Iterator[type[Part]]:
    """Every part that is known here, of whatever kind."""
    for kind in list(_REGISTRY):
        yield from registered(kind).values()


def _place(part: type[Part]) -> tuple[str, str]:
    return part.__module__, part.__qualname__


def _is_in_a_folder(part: type[Part]) -> bool:
    """Whether it was imported from a folder of our own parts, not only named as if it were."""
    module = part.__module__
    return module in sys.modules and any(module.startswith(f"{one}.") for one in part.folders)


def _import_folders(folders: tuple[str, ...]) -> None:
    for folder in folders:
        if folder in _IMPORTED:
            continue
        package = importlib.import_module(folder)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{folder}.{module.name}")
        _IMPORTED.add(folder)
