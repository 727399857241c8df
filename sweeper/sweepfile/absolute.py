"""A base config with absolute paths: workers, and later sweeps, stand in other folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def with_absolute_paths(base: Mapping[str, Any]) -> dict[str, Any]:
    """The base config with the paths of its files made absolute."""
    from trials.roles import paths_of  # imports torch

    made = dict(base)
    for keys in paths_of(base):
        made = _absolute_at(keys, made)
    return made


def _absolute_at(keys: Sequence[str], value: Any) -> Any:
    from trials.urls import Url, read_path

    if not keys:
        path = read_path(value)
        return str(path if isinstance(path, Url) else Path(path).expanduser().absolute())
    first, *rest = keys
    return {**value, first: _absolute_at(rest, value[first])}
