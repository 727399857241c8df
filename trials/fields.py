"""What a setting is to the rest of the service, said where the setting is declared.

    data: Annotated[AnyData, Role.MEASURES, Role.SHAPES_WEIGHTS]
    path: DataPath                       a setting whose type is a path names a file

Code that has to know which settings name files, which a running training cannot change, or which
say how it is measured asks the fields, so that a part of another person's is understood too.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trials.by_name import ByName, Switches

Chooser = typing.TypeVar("Chooser", ByName, Switches)


class Role(Enum):
    """What a setting is. Said of a section, it holds for every setting in it."""

    SHAPES_WEIGHTS = "the weights, or the place in the data, depend on it"
    MEASURES = "it says how, or against which data, a training is measured"
    TRAINS_ONLY = "it changes what is trained on, and not what is measured, in such a section"


def fields_at(model: type[BaseModel], keys: Sequence[str]) -> list[FieldInfo]:
    """The fields that a path may lead to: several where parts to choose from share a name."""
    field = model.model_fields.get(keys[0]) if keys else None
    if field is None:
        return []
    if len(keys) == 1:
        return [field]
    switches = _choice(field, Switches)
    if switches is not None:
        part = switches.options().get(keys[1])
        return fields_at(part.Config, keys[2:]) if part is not None else []
    return [inner for section in _sections(field) for inner in fields_at(section, keys[1:])]


def paths_in(model: type[BaseModel], mapping: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where a mapping that `model` reads, valid or not, names a file or folder."""
    for name, value in mapping.items():
        field = model.model_fields.get(name)
        if field is None:
            continue
        if isinstance(value, str) and is_path(field):
            yield (name,)
        elif isinstance(value, Mapping):
            for keys in dict.fromkeys(_paths_under(field, value)):
                yield (name, *keys)


def is_path(field: FieldInfo) -> bool:
    """Whether a setting names a file or folder."""
    return Path in _types(field.annotation)


def _paths_under(field: FieldInfo, value: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    switches = _choice(field, Switches)
    if switches is None:
        for section in _sections(field, value):
            yield from paths_in(section, value)
        return
    for key, part in switches.options().items():
        if isinstance(knobs := value.get(key), Mapping):
            for keys in paths_in(part.Config, knobs):
                yield (key, *keys)


def _sections(field: FieldInfo, value: Mapping[str, Any] | None = None) -> list[type[BaseModel]]:
    """The models whose settings can stand under a field; the chosen part's where one is chosen."""
    by_name = _choice(field, ByName)
    if by_name is None:
        return [
            model
            for model in _types(field.annotation)
            if isinstance(model, type) and issubclass(model, BaseModel)
        ]
    options = by_name.options()
    chosen = options.get(str((value or {}).get(by_name.tag, by_name.default)))
    parts = options.values() if chosen is None else [chosen]
    return [getattr(part, by_name.config) for part in parts]


def _choice(field: FieldInfo, chooser: type[Chooser]) -> Chooser | None:
    return next((item for item in field.metadata if isinstance(item, chooser)), None)


def _types(annotation: Any) -> list[Any]:
    """The types that an annotation is made of."""
    inner = typing.get_args(annotation)
    return [leaf for part in inner for leaf in _types(part)] if inner else [annotation]
