"""What every part promises, of whatever kind."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sweeper.testing.promises import EVERY, Broken, promise, require
from trials.part import Part, PartConfig


@promise(EVERY)
def says_what_it_is(part: type[Part], folder: Path) -> None:
    """A summary, and a meaning of every knob."""
    require(part.summary, f"{part.__qualname__} has no `summary`")
    for name, field in _fields(part):
        require(field.description, f"the knob '{name}' has no meaning")


@promise(EVERY)
def can_be_asked_for_by_name(part: type[Part], folder: Path) -> None:
    """It is in the registry of its kind, under its key."""
    require(part.all().get(part.key) is part, f"'{part.key}' names another {part.kind}")


@promise(EVERY)
def writes_its_knobs_and_reads_them_again(part: type[Part], folder: Path) -> None:
    """What a file holds of it, JSON too, gives an equal config."""
    for knobs in _configs(part):
        given = settings(part, folder) if knobs is part.Config else {}
        config = knobs.model_validate(given)
        written = json.loads(json.dumps(config.model_dump(mode="json")))
        require(knobs.model_validate(written) == config, f"{written} is read as another config")
        require(config.name == part.key, "its config is of another part")


@promise(EVERY)
def refuses_a_knob_that_it_does_not_have(part: type[Part], folder: Path) -> None:
    """A misspelt knob is an error, never ignored."""
    for knobs in _configs(part):
        try:
            knobs.model_validate({"no_such_knob": 1})
        except ValidationError:
            continue
        raise Broken("takes `no_such_knob` without a word")


@promise(EVERY)
def searches_values_that_it_takes(part: type[Part], folder: Path) -> None:
    """Both ends, or every value, of a knob's default range are values that the knob may have."""
    given = settings(part, folder)
    for knob, domain in part.search_ranges().items():
        for value in _samples(domain):
            try:
                part.Config.model_validate({**given, knob: value})
            except ValidationError as error:
                wrong = error.errors()[0]["msg"]
                require(False, f"'{knob}' is searched at {value!r}, which it refuses: {wrong}")


def _configs(part: type[Part]) -> list[type[PartConfig]]:
    """The classes of its knobs: one, or one for each player."""
    configs = (getattr(part, name) for name in part.configs)
    return [config for config in configs if config is not None]


def _fields(part: type[Part]) -> Iterator[tuple[str, FieldInfo]]:
    for config in _configs(part):
        yield from config.model_fields.items()


def settings(part: type[Part], folder: Path) -> dict[str, Any]:
    """Settings with which the part can be made: its defaults, or where some have none, those of
    the example that it gives of itself, whose files are made in `folder`."""
    if not any(field.is_required() for field in part.Config.model_fields.values()):
        return {}
    example = getattr(part, "example", None)
    require(callable(example), "some of its settings have no default, and it has no example")
    assert callable(example)
    takes_seed = "seed" in inspect.signature(example).parameters
    given: dict[str, Any] = example(folder, 0) if takes_seed else example(folder)
    return {name: value for name, value in given.items() if name != "name"}


def _samples(domain: dict[str, Any]) -> list[Any]:
    return list(domain["values"]) if "values" in domain else [domain["min"], domain["max"]]
