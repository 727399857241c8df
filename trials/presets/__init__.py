"""Configurations that people ask for by the name of a paper: one YAML file each.

`preset: sngan` in a trial config starts from `sngan.yaml`; what the user gives beside it wins. A
file holds

`paper`, `summary`   whose it is, and what, in a line
`config`             a trial configuration: the smallest network that was published
`sizes`              image size → what is laid over `config` from that size on, up to the next
`published`          image size → where its networks were published; one `config` is for all of them
`elsewhere`          what stands for the paper's networks at all other sizes, in a sentence
`reread`             what it came to mean, where sweeps have begun with it: see `trials.part`
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from trials.errors import DataError
from trials.problems import Problem, nearest


@functools.cache
def names() -> tuple[str, ...]:
    """The presets, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


@functools.cache
def _read(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def load(name: str) -> dict[str, Any]:
    """A preset's own mapping, as the head of this file describes it."""
    return copy.deepcopy(_read(name))


def config_of(name: str, side: int | None = None) -> dict[str, Any]:
    """A preset's configuration for images of that height; None: of the smallest published."""
    preset = load(name)
    config: dict[str, Any] = preset["config"]
    below = [size for size in preset.get("sizes", {}) if side is not None and size <= side]
    return merge(config, preset["sizes"][max(below)]) if below else config


def expand(
    mapping: Mapping[str, Any], *, look: bool = True
) -> tuple[dict[str, Any], list[Problem]]:
    """The mapping with its preset, if it names one, merged underneath.

    `look`: whether the data may be looked at, whose size some presets ask for.
    """
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
    return merge(config_of(name, _side(raw.get("data")) if look else None), raw), []


def _side(data: Any) -> int | None:
    """The height of the images of a data section; None of points, and where it cannot be told."""
    from trials.by_name import ByName
    from trials.data import DataSource  # which imports torch: names alone do not need it

    try:
        config = ByName(DataSource).read(data)
        shape = config.part(config).item_shape()  # type: ignore[call-arg, attr-defined]
    except (ValueError, DataError, OSError):
        return None  # what is wrong with the data is told where they are checked
    return shape[-1] if len(shape) == 3 else None


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `under`, mapping by mapping.

    A mapping with another `name` replaces the one below whole: the options of one loss or data
    source mean nothing to another. The name that is there already keeps them.
    """
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if key in ("loss", "data", "conditioning", "task") and isinstance(below, str):
            below = {"name": below}
        again = isinstance(value, str) and isinstance(below, Mapping) and below.get("name") == value
        if again or (isinstance(below, Mapping) and value is True):
            continue  # switched on, or chosen again, with the knobs that stand below
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            renamed = value.get("name", below.get("name")) != below.get("name")
            merged[key] = dict(value) if renamed else merge(below, value)
        else:
            merged[key] = value
    return merged
