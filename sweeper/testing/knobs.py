"""Other values to try for a knob, alone and in each mode that the other knobs make."""

from __future__ import annotations

import enum
import itertools
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

Knobs = dict[str, Any]


def turns(
    config: type[BaseModel], knob: str, stands: Callable[[Knobs], bool]
) -> Iterator[tuple[Knobs, Knobs]]:
    """Pairs of settings that differ in `knob` alone, in each mode that the part has.

    `stands` says whether settings that the config takes make sense where they are used.
    """

    def valid(knobs: Knobs) -> bool:
        try:
            config.model_validate(knobs)
        except ValidationError:
            return False
        return stands(knobs)

    modes: list[Knobs] = [{}]
    for other, field in config.model_fields.items():
        if other != knob:
            modes += [{other: value} for value in _modes(field)]
    modes += [a | b for a, b in itertools.combinations(modes[1:], 2)]
    for mode in modes:
        for value in _alternatives(config.model_fields[knob]):
            after = {**mode, knob: value}
            if valid(mode) and valid(after):
                yield mode, after


def _modes(field: FieldInfo) -> list[Any]:
    """Other values of a knob that chooses a way of working."""
    return [value for value in _choices(field.annotation) if value != field.default]


def _choices(annotation: Any) -> list[Any]:
    """Every value of a type that names them all, or of such a type or None; else nothing."""
    if annotation is bool:
        return [False, True]
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return list(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = typing.get_args(annotation)
        choices = [value for kind in kinds for value in _choices(kind)]
        return [*choices, None] if choices and type(None) in kinds else choices
    return []


def _alternatives(field: FieldInfo) -> list[Any]:
    """Other values to try for a knob; those that break its limits are skipped later."""
    if modes := _modes(field):
        return modes
    extra = field.json_schema_extra
    values: list[Any] = []
    if isinstance(extra, dict) and isinstance(extra.get("search"), dict):
        search = typing.cast("dict[str, Any]", extra["search"])
        values += search.get("values", [search.get("min"), search.get("max")])
    default = field.default
    if isinstance(default, int) and not isinstance(default, bool):
        values += [default + 1, default - 1, default * 2, 2, 4, 8]
    elif isinstance(default, float):
        values += [default * 2, default / 2, default * 1.1, default + 0.5, 0.5, 0.25, 2.0]
    else:
        values += [1, 2, 0.5, 4]
    return [value for value in values if value != default and value is not None]
