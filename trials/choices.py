"""Further fields that choose parts: several in a list, a bare key, a section for every one.

    metrics: [fid, {name: …}]          Several: a list of parts, or the word auto
    stop_on: [divergence]              Key: the name of one part, without knobs
    divergence: {persistence: 3}       read_sections: the knobs of every part of a kind

`trials.by_name` has the fields that choose one part, or switch some on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import GetJsonSchemaHandler, ValidationError
from pydantic_core import core_schema

from trials.by_name import ByName, Kind, Schema
from trials.part import Part, PartConfig, unknown_name
from trials.problems import Problem, nearest
from trials.validation import failure, problems_from, short


class Several(ByName):
    """Any number of parts of a kind in a list, each by its name or a mapping with its knobs, or
    the word `auto`."""

    def read_list(self, value: Any) -> Literal["auto"] | tuple[PartConfig, ...]:
        """The knobs of every part of the list, in its order.

        Raises:
            ValidationError: with each problem at its place.
        """
        if isinstance(value, str) and value == "auto":
            return "auto"
        if not isinstance(value, list | tuple):
            raise failure([Problem("", f"{short(value)} is wrong", "auto or a list")], value)
        chosen: list[PartConfig] = []
        problems: list[Problem] = []
        for place, item in enumerate(value):
            try:
                chosen.append(self.read(item))
            except ValidationError as error:
                problems += problems_from(error, PartConfig, str(place))
        if problems:
            raise failure(problems, value)
        return tuple(chosen)

    def dump_list(self, value: Literal["auto"] | tuple[PartConfig, ...]) -> Any:
        """Each part by its name, and where it has knobs, with every one written out."""
        if isinstance(value, str):
            return value
        return [self.dump(item) if type(item).model_fields else item.name for item in value]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(self.dump_list)
        return core_schema.no_info_plain_validator_function(self.read_list, serialization=written)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        item = super().__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [{"const": "auto"}, {"type": "array", "items": item}]}


class Key:
    """The key of one part of a kind: `Annotated[str, Key(Measure)]`. The value stays a text."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    @property
    def base(self) -> type[Part]:
        """The base class of the kind."""
        return self._kind if isinstance(self._kind, type) else self._kind()

    def read(self, value: str) -> str:
        """`value`, which is the key of a part.

        Raises:
            ValidationError: it is not; the nearest key is given.
        """
        keys = list(self.base.all())
        if value not in keys:
            raise failure([unknown_name("", value, self.base.kind, keys)], value)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        options = self.base.all()
        told = "; ".join(f"{key}: {part.summary}" for key, part in options.items() if part.summary)
        return {"enum": list(options)} | ({"title": told} if told else {})


def read_sections(
    kind: type[Part], value: Mapping[str, Any], beside: Iterable[str] = ()
) -> dict[str, PartConfig]:
    """The knobs of every part of a kind, by key: as `value` gives them, else the defaults.

    `beside` are the names of what else may stand there, for the message of a wrong one.

    Raises:
        ValidationError: with each problem at its place.
    """
    keys = [*beside, *kind.all()]
    names = "one of " + ", ".join(keys)
    problems = [
        Problem(str(key), "there is no such setting", names, nearest(str(key), keys))
        for key in value
        if key not in kind.all()
    ]
    sections: dict[str, PartConfig] = {}
    for key, part in kind.all().items():
        given = value.get(key)
        if isinstance(given, PartConfig) and given.part is part:
            sections[key] = given
        elif given is None or isinstance(given, Mapping):
            try:
                sections[key] = part.Config.model_validate(given or {})
            except ValidationError as error:
                problems += problems_from(error, part.Config, key)
        else:
            problems.append(Problem(key, f"{short(given)} is wrong", "a mapping of knobs"))
    if problems:
        raise failure(problems, value)
    return sections
