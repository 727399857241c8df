"""Settings as a file gives them: the base of every section of a configuration.

A file has truth values, numbers and texts, and each setting takes one kind. Python counts True as
1, and pydantic would read '1e-3' as a number: a mistake would train something else than what the
record says. So the kinds are kept apart here, for other people's parts too.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from trials.problems import Problem
from trials.validation import failure, problems_from, short

EXPECTED: dict[type, str] = {float: "a number", int: "a whole number", bool: "true or false"}
"""The kinds that are kept apart, and what is expected of a setting: the first that it takes."""


class Settings(BaseModel):
    """One mapping of a configuration: frozen, closed to names it does not know, and strict about
    kinds. A number that is whole may stand for a whole number, as 1e3 does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _of_their_kinds(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        wrong = _wrong_kinds(cls, given) if isinstance(given, Mapping) else {}
        if not wrong:
            return handler(given)
        problems = list(wrong.values())
        try:
            handler({name: value for name, value in given.items() if name not in wrong})
        except ValidationError as error:
            problems += [item for item in problems_from(error, cls) if item.path not in wrong]
        raise failure(problems, given)


def _wrong_kinds(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Problem]:
    """Setting → the problem that its value is of another kind."""
    wrong = {}
    for name, value in given.items():
        if name in model.model_fields and (expected := _expected(value, _kinds_of(model, name))):
            wrong[name] = Problem(name, f"{short(value)} is wrong", expected)
    return wrong


@functools.cache
def _kinds_of(model: type[BaseModel], field: str) -> frozenset[type]:
    return kinds(model.model_fields[field].annotation)


def kinds(annotation: Any) -> frozenset[type]:
    """The types of the plain values that an annotation allows, also inside lists."""
    inner = [part for part in typing.get_args(annotation) if part is not Ellipsis]
    if typing.get_origin(annotation) is typing.Literal:
        return frozenset(map(type, inner))
    if typing.get_origin(annotation) is typing.Annotated:
        return kinds(inner[0])
    if inner:
        return frozenset[type]().union(*map(kinds, inner))
    plain = isinstance(annotation, type) and annotation is not Any
    return frozenset({annotation if plain else object})


def _expected(value: Any, allowed: frozenset[type]) -> str:
    """What is expected in place of a value of the wrong kind; empty where its kind is right, or is
    none of those that are kept apart."""
    if isinstance(value, list | tuple):
        return next(filter(None, (_expected(item, allowed) for item in value)), "")
    expected = _words_of(allowed)
    if not expected:
        return ""
    if isinstance(value, str):  # one that is no number is refused in any case, in better words
        quoted = not {str, Path} & allowed and (bool in allowed or _is_number(value))
        return f"{expected}, without quotes" if quoted else ""
    if isinstance(value, bool):
        return "" if bool in allowed else expected
    if isinstance(value, int | float):
        return "" if {int, float} & allowed else expected
    return ""


@functools.cache
def _words_of(allowed: frozenset[type]) -> str:
    """What these kinds are in words; empty where any may do, or none is kept apart."""
    if object in allowed:
        return ""
    return next((words for kind, words in EXPECTED.items() if kind in allowed), "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
