"""Every public thing of the game, its tricks and its trainer says what it is and what it raises."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

import trials

OTHER_ROOMS = ("data", "networks")

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(trials.__path__, "trials.")
    if module.name.split(".")[1] not in OTHER_ROOMS
)


def _own_classes(module: ModuleType) -> Iterator[type]:
    for name, thing in vars(module).items():
        if isinstance(thing, type) and thing.__module__ == module.__name__ and name[0] != "_":
            yield thing


def _functions(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any], bool]]:
    """Name, function, and whether it or a method of ours that it overrides has a docstring."""
    for name, thing in vars(module).items():
        if isinstance(thing, FunctionType) and thing.__module__ == module.__name__:
            yield name, thing, bool(thing.__doc__)
    for kind in _own_classes(module):
        ours = [base for base in kind.__mro__ if base.__module__.startswith("trials")]
        for name, thing in vars(kind).items():
            function = getattr(thing, "__func__", getattr(thing, "fget", thing))
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                told = any(getattr(vars(base).get(name), "__doc__", None) for base in ours)
                yield f"{kind.__name__}.{name}", function, told


def _raised(function: Callable[..., Any]) -> set[str]:
    """The exceptions of ours that a function raises in its own body, by name."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError):
        return set()  # what dataclasses and pydantic have made has no source
    return {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_says_what_it_is_and_what_it_raises(name: str) -> None:
    module = importlib.import_module(name)
    missing = [] if module.__doc__ else [name]
    missing += [kind.__name__ for kind in _own_classes(module) if not vars(kind).get("__doc__")]
    for path, function, told in _functions(module):
        if any(part.startswith("_") for part in path.split(".")):
            continue
        if not told:
            missing.append(path)
        elif _raised(function) and function.__doc__ and "Raises:" not in function.__doc__:
            missing.append(f"{path}: Raises {', '.join(sorted(_raised(function)))}")
    assert not missing
