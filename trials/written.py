"""Settings as a file holds them: each value comes back as it was, and is written in one order.

A training goes on, and a worker trains, by what was written of its configuration. The types of
other people's settings may be any that pydantic knows; what no file can hold is refused when it is
read, before anything is begun with it.
"""

from __future__ import annotations

import functools
import json
import types
import typing
from collections import abc
from pathlib import Path
from typing import Any, Self

from pydantic import (
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_serializer,
    model_validator,
)

from trials.problems import Problem
from trials.settings import Settings
from trials.validation import failure, names_of, short

_READ_BACK = "read back"
"""The context of settings that are read to see whether they come back: it is asked of no others."""

_PLAIN = (bool, int, float, str, Path, types.NoneType)
_OF_PLAIN = (
    *(typing.Union, types.UnionType),
    *(tuple, list, set, frozenset, abc.Sequence, abc.Set),
)
"""The types whose values every file holds, and what may be made of them."""


class Written(Settings):
    """Settings that are known to come back from a file."""

    @field_serializer("*", mode="wrap")
    def _one_order(self, value: Any, write: SerializerFunctionWrapHandler) -> Any:
        return _in_order(value, write(value))

    @model_validator(mode="after")
    def _comes_back(self, info: ValidationInfo) -> Self:
        if info.context == _READ_BACK:
            return self
        expected = (
            "what a file gives back as it was: a truth value, a number, a text, a list of these"
        )
        problems = [
            Problem(name, f"{short(getattr(self, name))} cannot be written", expected)
            for name in _strange(type(self))
            if not _is_kept(self, name)
        ]
        if problems:
            raise failure(problems, self)
        return self


def _in_order(value: Any, written: Any) -> Any:
    """What was written of a value; a set in one order, which in Python is another in every process,
    so that the same settings have the same fingerprint."""
    if isinstance(value, abc.Set) and isinstance(written, list):
        return sorted(written, key=json.dumps)
    if isinstance(value, list | tuple) and isinstance(written, list):
        return [_in_order(*pair) for pair in zip(value, written, strict=True)]
    if isinstance(value, abc.Mapping) and isinstance(written, dict):
        pairs = zip(value.values(), written.items(), strict=True)
        return {key: _in_order(inner, told) for inner, (key, told) in pairs}
    return written


@functools.cache
def _strange(model: type[Written]) -> tuple[str, ...]:
    """The settings of which it does not follow from their type that a file holds them."""
    fields = model.model_fields.items()
    return tuple(name for name, field in fields if not _is_plain(field.annotation))


def _is_plain(annotation: Any) -> bool:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal or annotation in _PLAIN:
        return True
    if origin is typing.Annotated:
        return _is_plain(inner[0])
    return origin in _OF_PLAIN and all(_is_plain(one) for one in inner if one is not Ellipsis)


def _is_kept(settings: Written, name: str) -> bool:
    """Whether a setting comes back from a file as it is."""
    model = type(settings)
    called = zip(model.model_fields, names_of(model), strict=True)
    given = dict(called)
    others = {given[one]: getattr(settings, one) for one in given if one != name}
    try:
        written = json.loads(json.dumps(settings.model_dump(mode="json", include={name})))
        again = model.model_validate({**others, **written}, context=_READ_BACK)
        return bool(getattr(again, name) == getattr(settings, name))
    except ValidationError as error:
        # What is wrong elsewhere, or between settings, the model says itself when this is over.
        return not any(one["loc"][:1] in ((name,), (given[name],)) for one in error.errors())
    except Exception:  # a type of another person's: anything may happen in it
        return False
