"""Configurations that people ask for by the name of a paper: one YAML file each.

`preset: sngan` in a trial config starts from `sngan.yaml`; what the user gives beside it wins.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from trials.problems import Problem, nearest


@functools.cache
def names() -> tuple[str, ...]:
    """The presets, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


@functools.cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """A preset's own mapping: `paper`, `summary` and `config`."""
    document: dict[str, Any] = yaml.safe_load(_text(name))
    return document


def expand(mapping: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The mapping with its preset, if it names one, merged underneath."""
    raw = dict(mapping)
    if "preset" not in raw:
        return raw, []
    name = raw.pop("preset")
    if name not in names():
        return raw, [
            Problem(
                "preset",
                f"there is no preset '{name}'",
                expected="one of " + ", ".join(names()),
                nearest=nearest(str(name), names()),
            )
        ]
    return merge(load(name)["config"], raw), []


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `under`, mapping by mapping.

    A mapping with another `name` replaces the one below whole: the options of one loss or data
    source mean nothing to another.
    """
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if key in ("loss", "data", "conditioning", "task") and isinstance(below, str):
            below = {"name": below}
        if isinstance(below, Mapping) and value is True:
            continue  # switched on, with the knobs that stand below
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            renamed = value.get("name", below.get("name")) != below.get("name")
            merged[key] = dict(value) if renamed else merge(below, value)
        else:
            merged[key] = value
    return merged
