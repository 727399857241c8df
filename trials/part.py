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

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

from pydantic import ConfigDict, Field

from trials import distributions
from trials.errors import ConfigError, in_one_line
from trials.problems import Problem, nearest
from trials.settings import Settings


class PartConfig(Settings):
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
        """Every part of this kind by key, in the kind's order; below a kind, its subclasses."""
        cached = _LISTED.get(cls)
        if cached is None:
            _import_folders(cls.folders)
            listed = [part for part in _REGISTRY[cls.kind].values() if issubclass(part, cls)]
            cached = {part.key: part for part in sorted(listed, key=lambda part: part.rank())}
            _LISTED[cls] = cached
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
_LISTED: dict[type[Part], dict[str, type[Part]]] = {}
_IMPORTED: set[str] = set()


def register(part: type[Part]) -> None:
    """Make a part known. Subclassing does so; a class that was sent to another process needs it.

    The same class defined again (a notebook's cell run twice) takes the place of the first.

    Raises:
        TypeError: another part of its kind has its key.
    """
    registered = _REGISTRY[part.kind].get(part.key)
    if registered is not None and _place(registered) != _place(part):
        raise TypeError(
            f"two parts ({part.kind}) are called '{part.key}': {registered!r} and {part!r}"
        )
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
    _REGISTRY[part.kind][part.key] = part
    _LISTED.clear()


@contextmanager
def temporary_parts() -> Iterator[None]:
    """What is registered inside the block is forgotten after it: for tests that define parts.

    Our own parts stay, also those of a folder that was first imported inside.
    """
    kept = {kind: dict(parts) for kind, parts in _REGISTRY.items()}
    try:
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
    """The parts of a kind that have been imported so far, by key."""
    return dict(_REGISTRY[kind])


def unknown_name(path: str, key: object, kind: str, choices: list[str]) -> Problem:
    """The problem of a name that no part of a kind has."""
    if owner := _who_offers(str(key)):
        told = f"'{key}' is of the distribution '{owner}', which is not asked for"
        return Problem(path, told, expected=f"`parts: [{owner}]`")
    return Problem(
        path,
        f"there is no {kind} '{key}'",
        expected="one of " + ", ".join(sorted(choices)),
        nearest=nearest(str(key), choices),
    )


# Parts of other distributions ---------------------------------------------------------------

_OFFERED: dict[str, tuple[type[Part], ...]] = {}
"""The parts of each distribution whose modules have been imported."""


def use(names: object, path: str = "parts") -> list[Problem]:
    """Make the parts of installed distributions known, as the `parts` of a file asks.

    Returns what is wrong: a name that is no installed distribution with parts, or one whose
    modules cannot be imported.
    """
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return [Problem(path, f"{names!r} is wrong", "a list of installed distributions")]
    problems = []
    for position, name in enumerate(names):
        try:
            parts = offered_by(name)
        except ConfigError as error:
            problems += [replace(problem, path=f"{path}.{position}") for problem in error.problems]
        else:
            for part in parts:
                if _REGISTRY[part.kind].get(part.key) is part:
                    continue
                try:
                    register(part)
                except TypeError as error:  # another one has its key
                    problems.append(Problem(f"{path}.{position}", f"'{name}': {error}"))
    return problems


def use_installed() -> list[Problem]:
    """Make the parts of every installed distribution known, for listings of what there is.

    Returns a problem, with the distribution as its path, for each that cannot be imported.
    """
    problems = []
    for name in distributions.installed():
        problems += [replace(problem, path=name) for problem in use([name])]
    return problems


def offered_by(name: str) -> tuple[type[Part], ...]:
    """The parts of an installed distribution, whose modules are imported for it; what they define
    becomes known by `use` only.

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
    before = set(everything())
    try:
        there[name].load()
    except Exception as error:  # another person's code: anything may happen in it
        told = f"'{name}' cannot be imported: {in_one_line(error)}"
        raise ConfigError([Problem("", told)]) from error
    finally:
        own = tuple(
            part
            for part in everything()
            if distributions.owner_of(part.__module__, there) == there[name]
        )
        for part in set(own) - before:
            del _REGISTRY[part.kind][part.key]
        _LISTED.clear()
    unfinished = [part for part in own if inspect.isabstract(part)]
    if unfinished:
        lacks = [f"the {part.kind} '{part.key}' lacks {_lacking(part)}" for part in unfinished]
        raise ConfigError([Problem("", f"of '{name}', {'; '.join(lacks)}")])
    _OFFERED[name] = own
    return own


def everything() -> Iterator[type[Part]]:
    """Every part that is known now, of whatever kind."""
    for parts in list(_REGISTRY.values()):
        yield from list(parts.values())


def _who_offers(key: str) -> str:
    """The installed distribution that has a part of that name; empty where none has."""
    for name in distributions.installed():
        try:
            parts = offered_by(name)
        except ConfigError:
            continue  # reported where it is asked for
        if any(part.key == key for part in parts):
            return name
    return ""


def _lacking(part: type[Part]) -> str:
    """The methods that its base class asks for and that it has not."""
    return ", ".join(sorted(getattr(part, "__abstractmethods__", ())))


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
