"""Two or more configurations side by side, setting by setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.sweepfile.model import flatten
from sweeper.wording import NONE, setting, short_path


@dataclass(frozen=True)
class Row:
    """One setting: its path, and what each configuration has there, in words."""

    path: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether they are not all the same."""
        return len(set(self.values)) > 1


def complete(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trial config with every default written out; as it is where the trainer does not know it,
    as one of an older version or with parts that are not here."""
    from trials.config import load_config
    from trials.errors import ConfigError

    try:
        return load_config(configuration).as_dict()
    except ConfigError:
        return configuration


def compared(configurations: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Every setting that one of them has, defaults too, those that differ first, each in the order
    of the files."""
    flat = [flatten(complete(one)) for one in configurations]
    paths = dict.fromkeys(path for one in flat for path in one)
    rows = [Row(short_path(path), tuple(_in_words(one, path) for one in flat)) for path in paths]
    return sorted(rows, key=lambda row: not row.differs)  # stable: otherwise in their order


def _in_words(flat: Mapping[str, Any], path: str) -> str:
    if path not in flat:
        return NONE
    value = flat[path]
    if isinstance(value, dict):  # an empty one: a trick without knobs, or nothing at all
        return "on" if path.startswith("tricks.") else "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value)) or "none"
    return setting(value)
