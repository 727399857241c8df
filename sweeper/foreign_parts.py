"""Other people's parts in a sweep: which it uses, where they come from, how they reach a worker.

A part of an installed distribution is named by the file and imported where the file is read. A part
of a script or a notebook exists in its process alone: workers, and the process that logs the
winner's model, get it by value, through the pipe or the object store that ties them to the driver.
No file holds it.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from sweeper.errors import UserError
from sweeper.sweepfile.model import Sweep
from trials.distributions import version_of
from trials.errors import in_one_line
from trials.origins import globals_in, is_installed, origin_of, sent_from
from trials.part import Part, everything, register, using


@dataclass(frozen=True)
class ForeignParts:
    """Whose parts a sweep uses beside ours.

    `distributions`: name → version of those installed. `sources`: `module.key` → a hash of
    the source, of each part that is not. `parts`: what `unpack` makes known elsewhere.
    """

    distributions: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    parts: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, sweep: Sweep) -> ForeignParts:
        """The foreign parts of a sweep, as each is installed and defined here and now.

        Raises:
            UserError: a part of a script cannot be sent to a worker.
        """
        distributions = {name: version_of(name) for name in sweep.parts}
        sources = {}
        for part in foreign_parts(sweep):
            origin = origin_of(part)
            if origin.installed:
                distributions[origin.source] = origin.version
            else:
                sources[f"{origin.source}.{part.key}"] = origin.version
        # Those that the sweep asks for a worker finds by their names, as the driver has, and with
        # them no others that their modules import.
        sent = [part for part in foreign_parts(sweep) if origin_of(part).source not in sweep.parts]
        return cls(distributions, sources, _packed(sent))

    def as_dict(self) -> dict[str, str]:
        """Name → version or hash, as the study keeps it."""
        return dict(sorted({**self.distributions, **self.sources}.items()))

    def __str__(self) -> str:
        """On one line: `my-lab-parts 1.0, __main__.contrast sha256:0123456789ab`."""
        return ", ".join(f"{name} {version}" for name, version in self.as_dict().items())

    def changes(self, before: Mapping[str, str]) -> str:
        """How it differs from what `as_dict` gave when the sweep last ran; empty: in nothing."""
        now, told = self.as_dict(), []
        for name in sorted(before.keys() | now.keys()):
            then, today = before.get(name), now.get(name)
            if then is None:
                told.append(f"{name} {today} is new")
            elif today is None:
                told.append(f"{name} {then} is no longer used")
            elif then != today and name in self.sources:
                told.append(f"the source of {name} has changed")
            elif then != today:
                told.append(f"{name} was {then} and is {today} now")
        if not told:
            return ""
        return f"{'; '.join(told)}: trials from before may not compare with those that follow"


def foreign_parts(sweep: Sweep) -> list[type[Part]]:
    """The parts that are not ours and that the sweep names, or that act without being named."""
    names = set(names_in(sweep.to_dict()))
    with using({"parts": sweep.parts}):
        acting = [part for part in everything() if part.key in names or part.acts_unnamed()]
    return [part for part in acting if not origin_of(part).ours]


def names_in(value: Any) -> Iterator[str]:
    """Every word in a sweep that may name a part: keys, pieces of paths, values."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from str(key).split(".")
            yield from names_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from names_in(inner)
    elif isinstance(value, str):
        yield value


def _packed(parts: Sequence[type[Part]]) -> bytes:
    """Those that a training may use, by value where a worker could not import them."""
    carried = [part for part in parts if _is_for_trainer(part)]
    if not carried:
        return b""
    # One that `sys.modules` does not have cannot be imported anyway, and goes by value unasked.
    named = {part.__module__ for part in carried} & sys.modules.keys()
    with contextlib.ExitStack() as by_value:
        for module in _uninstalled({sys.modules[name] for name in named}):
            cloudpickle.register_pickle_by_value(module)
            by_value.callback(cloudpickle.unregister_pickle_by_value, module)
        try:
            data: bytes = cloudpickle.dumps([(part, origin_of(part)) for part in carried])
        except Exception:
            for part in carried:
                _check_sendable(part)
            raise
    return data


def _check_sendable(part: type[Part]) -> None:
    """Raise a UserError where a part cannot be sent to a worker: it names what keeps it here."""
    if (fault := _fault(part)) is None:
        return
    held = next((name for name, value in _globals_of(part) if _fault(value)), "")
    uses = f"it uses {held}" if held else "it holds something"
    raise UserError(
        f"the {part.kind} '{part.key}' of {part.__module__} cannot be sent to a worker: {uses}, of "
        f"which no copy can be made ({fault}); make that where the part uses it, or install the "
        "part (docs/parts.md)"
    )


def _fault(value: Any) -> str | None:
    """Why no copy of a value can be sent; None where one can."""
    try:
        cloudpickle.dumps(value)
    except Exception as error:  # whatever the value's own class does
        return in_one_line(error)
    return None


def _globals_of(part: type[Part]) -> Iterator[tuple[str, Any]]:
    """The values that the code of a part names, and that of what it uses and is not installed."""
    seen: set[int] = set()
    waiting: list[Any] = [part]
    while waiting:
        piece = waiting.pop()
        if id(piece) in seen or not piece.__module__ or is_installed(piece.__module__):
            continue
        seen.add(id(piece))
        waiting += piece.__bases__ if isinstance(piece, type) else ()
        for name, value in globals_in(piece):
            if isinstance(value, type | FunctionType):
                waiting.append(value)
            else:
                yield f"{name} of {piece.__module__}", value


def unpack(data: bytes) -> None:
    """Make the parts of a `ForeignParts` known in another process."""
    for part, origin in pickle.loads(data) if data else ():
        register(part)
        sent_from(part, origin)


def _is_for_trainer(part: type[Part]) -> bool:
    """Whether its kind is the trainer's: samplers and their like stay with the driver."""
    return any(base.__module__.startswith("trials.") for base in part.__mro__ if base is not Part)


def _uninstalled(modules: set[ModuleType]) -> list[ModuleType]:
    """Those of the modules that a worker cannot import, and those that they use, and so on."""
    reached: dict[str, ModuleType] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        name = module.__name__
        if name in reached or is_installed(name):
            continue
        reached[name] = module
        for value in list(vars(module).values()):
            if isinstance(value, ModuleType):
                waiting.append(value)
            elif isinstance(value, type | FunctionType) and value.__module__ in sys.modules:
                waiting.append(sys.modules[value.__module__])
    return list(reached.values())
