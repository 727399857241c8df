"""From pydantic's errors to problems a person can act on: place, expectation, nearest name."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from trials.problems import Problem, nearest

PROBLEM = "problem"
"""The kind of an error that carries a problem of ours."""

_TOLD = ("message", "expected", "nearest")
"""What such an error carries of it beside its path."""

_KINDS = {
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"
    ),
    **dict.fromkeys(("float_type", "float_parsing", "number_type"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    "string_type": "a text",
}
"""pydantic's kinds of error whose messages speak of Python, and what is expected in a file."""


def problems_from(
    error: ValidationError,
    model: type[BaseModel],
    prefix: str = "",
    beside: Sequence[str] = (),
) -> list[Problem]:
    """Every error of `error`, which came from validating `model`, as problems.

    `prefix` is put before each path (`tricks.ema`). `beside` are the names that may stand beside
    the model's own settings, as the one that chose it.
    """
    problems = []
    for item in error.errors(include_url=False):
        keys, home = _walk(model, item["loc"])
        path = ".".join([part for part in (prefix, *keys) if part])
        kind = item["type"]
        context = item.get("ctx", {})
        if kind == PROBLEM:
            problems.append(
                Problem(path, context["message"], context["expected"], context["nearest"])
            )
        elif kind == "extra_forbidden":
            names = names_of(home) if home else []
            if len(keys) == 1:
                names = [*beside, *names]
            problems.append(
                Problem(
                    path,
                    "there is no such setting",
                    expected="one of " + ", ".join(names) if names else "no settings here",
                    nearest=nearest(keys[-1], names),
                )
            )
        elif kind == "missing":
            problems.append(Problem(path, "is missing", expected=_expected(home, keys[-1])))
        elif kind == "literal_error":
            given, names = item["input"], _tags(str(context["expected"]).replace(" or ", ", "))
            problems.append(
                Problem(
                    path,
                    f"{given!r} is not possible",
                    expected=f"one of {', '.join(names)}" if len(names) > 1 else names[0],
                    nearest=nearest(str(given), names),
                )
            )
        elif kind == "value_error":
            problems.append(Problem(path, str(context.get("error", item["msg"]))))
        else:
            expected = _KINDS.get(kind) or _plain(item["msg"])
            problems.append(Problem(path, f"{short(item['input'])} is wrong", expected))
        if len(problems) > 1 and path == problems[-2].path and _is_branch(item["loc"][-1]):
            last = problems.pop()
            problems[-1] = replace(
                problems[-1], expected=f"{problems[-1].expected} or {last.expected}"
            )
    return problems


def failure(problems: Iterable[Problem], value: Any) -> ValidationError:
    """Problems of `value` as an error of pydantic's, each at its place.

    `problems_from` reads them back.
    """
    lines: list[InitErrorDetails] = []
    for problem in problems:
        told = {name: _in_utf8(getattr(problem, name)) for name in _TOLD}
        lines.append(
            InitErrorDetails(
                type=PydanticCustomError(PROBLEM, "{message}", told),
                loc=tuple(_in_utf8(problem.path).split(".")) if problem.path else (),
                input=value,
            )
        )
    return ValidationError.from_exception_data("part", lines)


def _in_utf8(text: str) -> str:
    """Half of a surrogate pair, which pydantic cannot pass on, as Python would write it."""
    return text.encode(errors="backslashreplace").decode()


def names_of(model: type[BaseModel]) -> list[str]:
    """The settings of a model as a file calls them: a name of Python's own has another there."""
    return [field.alias or name for name, field in model.model_fields.items()]


def short(value: Any) -> str:
    """A value as a message shows it: at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_branch(part: int | str) -> bool:
    """Whether this part of a location is no key but the kind that a union was tried as."""
    return isinstance(part, str) and ("[" in part or part in ("bool", "int", "float", "str"))


def _plain(message: str) -> str:
    for opening in ("Input should be a valid ", "Input should be "):
        if message.startswith(opening):
            return message.removeprefix(opening)
    return message[:1].lower() + message[1:]


def _tags(text: str) -> list[str]:
    return [part.strip().strip("'") for part in text.split(",") if part.strip()]


def _expected(home: type[BaseModel] | None, name: str) -> str:
    field = home.model_fields.get(name) if home else None
    return field.description or "" if field else ""


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _walk(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[str], type[BaseModel] | None]:
    """The dotted keys of a location without the kinds that a union was tried as, and the model of
    its last key."""
    keys: list[str] = []
    here: list[type[BaseModel]] = [model]
    home: type[BaseModel] | None = model
    for part in location:
        name = str(part)
        if keys and not here and _is_branch(part):
            continue
        home = here[0] if here else None
        keys.append(name)
        annotations = [m.model_fields[name].annotation for m in here if name in m.model_fields]
        here = [model for annotation in annotations for model in _models(annotation)]
    return keys, home
