"""How a configuration chooses parts: pydantic's fields that are unions over the registry.

    loss: {name: hinge, margin: 1}     ByName: one part, by its name or a mapping with its knobs
    tricks: {ema: {decay: 0.99}}       Switches: any number, each on (true or knobs) or off

A field holds the `Config` of the chosen part, whose `part` is the class. What is wrong inside
is reported at its own place, with the nearest name, as in any other section of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import GetJsonSchemaHandler, ValidationError
from pydantic_core import core_schema

from trials.part import Part, PartConfig, unknown_name
from trials.problems import Problem
from trials.validation import failure, names_of, problems_from, short

Schema = dict[str, Any]
Kind = type[Part] | Callable[[], type[Part]]


class ByName:
    """One part of a kind, chosen by `tag`: `Annotated[Any, ByName(Sampler)]`.

    `kind` is the base class, or a function that gives it, where it may not be imported yet.
    `config` names the class attribute that holds the knobs, for parts that have several.
    `default` is the part that a mapping without the tag means, if any.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        tag: str = "name",
        config: str = "Config",
        default: str | None = None,
    ) -> None:
        self._kind = kind
        self.tag = tag
        self.config = config
        self.default = default

    @property
    def base(self) -> type[Part]:
        """The base class of the kind."""
        return self._kind if isinstance(self._kind, type) else self._kind()

    def options(self) -> Mapping[str, type[Part]]:
        """The parts that can be chosen here, by key."""
        return self.base.all()

    def what(self) -> str:
        """The kind, for messages."""
        return self.base.kind

    def read(self, value: Any) -> PartConfig:
        """The knobs of the part that `value` names.

        Raises:
            ValidationError: with each problem at its place.
        """
        if isinstance(value, PartConfig) and value.part in self.options().values():
            return value
        if isinstance(value, str):
            given: dict[str, Any] = {self.tag: value}
        elif isinstance(value, Mapping):
            given = dict(value)
        else:
            problem = f"a name, or a mapping with `{self.tag}` and knobs"
            raise failure([Problem("", f"{short(value)} is wrong", problem)], value)
        return self.knobs(given, spelt_out=isinstance(value, Mapping))

    def knobs(self, given: dict[str, Any], *, spelt_out: bool) -> PartConfig:
        """The knobs of a mapping that names its part under the tag.

        Raises:
            ValidationError: with each problem at its place.
        """
        key, options = given.pop(self.tag, self.default), self.options()
        at = self.tag if spelt_out else ""
        if not isinstance(key, str):
            names = f"one of {', '.join(options)}"
            wrong = "is missing" if key is None else f"{short(key)} is wrong"
            raise failure([Problem(at, wrong, names)], given)
        if key not in options:
            raise failure([unknown_name(at, key, self.what(), list(options))], key)
        given = getattr(options[key], self.config).counted(given)
        foreign = self._of_others(key, given)
        own = {name: value for name, value in given.items() if name not in foreign}
        try:
            beside = [self.tag] if spelt_out else []
            config = _validated(getattr(options[key], self.config), own, beside)
        except ValidationError as error:
            problems = problems_from(error, PartConfig)
            raise failure([*foreign.values(), *problems], given) from None
        if foreign:
            raise failure(foreign.values(), given)
        return config

    def _of_others(self, key: str, given: Mapping[str, Any]) -> dict[str, Problem]:
        """Knob → the problem that it is one of other parts only."""
        own = names_of(getattr(self.options()[key], self.config))
        if all(knob in own for knob in given):
            return {}
        fields = {
            name: names_of(getattr(part, self.config)) for name, part in self.options().items()
        }
        expected = f"one of {', '.join(own)}" if own else "no knobs"
        foreign = {}
        for knob in given:
            owners = [name for name, knobs in fields.items() if knob in knobs]
            if owners and knob not in own:
                message = f"is an option of {', '.join(owners)}, not of {key}"
                foreign[knob] = Problem(knob, message, expected)
        return foreign

    def dump(self, value: PartConfig) -> dict[str, Any]:
        """The chosen part with every knob written out."""
        return value.as_dict(self.tag)

    def resolved(self, handler: GetJsonSchemaHandler, part: type[Part]) -> Schema:
        """The schema of a part's knobs, not of a reference to it."""
        return dict(handler.resolve_ref_schema(handler(_core(getattr(part, self.config)))))

    def _needs_knobs(self, part: type[Part]) -> bool:
        """Whether the name alone does not say enough, as of data that lie in a file."""
        config: type[PartConfig] = getattr(part, self.config)
        return any(field.is_required() for field in config.model_fields.values())

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.dump)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        options = self.options()
        told = "\n".join(f"{key}: {part.summary}" for key, part in options.items() if part.summary)
        bare = [key for key, part in options.items() if not self._needs_knobs(part)]
        names: Schema = {"enum": bare} | ({"description": told} if told else {})
        knobs = []
        for key, part in options.items():
            form = named(self.resolved(handler, part), key, self.tag)
            if key == self.default:
                form["required"] = [name for name in form["required"] if name != self.tag]
            knobs.append(form)
        return {
            "anyOf": [
                names,
                {"oneOf": knobs, "discriminator": {"propertyName": self.tag}},
            ]
        }


class Switches:
    """Any number of parts by key, each `true`, `false` or a mapping of knobs."""

    def __init__(self, kind: type[Part]) -> None:
        self.base = kind

    def options(self) -> Mapping[str, type[Part]]:
        """The parts that can be switched on here, by key."""
        return self.base.all()

    def read(self, value: Any) -> dict[str, PartConfig]:
        """The knobs of every part that is on, by key in alphabetical order.

        Raises:
            ValidationError: with each problem at its place.
        """
        if not isinstance(value, Mapping):
            what = f"a mapping from {self.base.kind} to true or knobs"
            raise failure([Problem("", f"{short(value)} is wrong", what)], value)
        switched: dict[str, PartConfig] = {}
        problems: list[Problem] = []
        for key, knobs in value.items():
            try:
                config = self._switched(str(key), knobs)
            except ValidationError as error:
                problems += problems_from(error, PartConfig, str(key))
            else:
                if config is not None:
                    switched[str(key)] = config
        if problems:
            raise failure(problems, value)
        return dict(sorted(switched.items()))

    def _switched(self, key: str, knobs: Any) -> PartConfig | None:
        part = self.options().get(key)
        if part is None:
            raise failure([self.unknown(key)], knobs)
        if isinstance(knobs, PartConfig) and knobs.part is part:
            return knobs
        if knobs is None or knobs is False:
            return None
        if knobs is True or isinstance(knobs, Mapping):
            return _validated(part.Config, {} if knobs is True else dict(knobs))
        problem = Problem("", f"{short(knobs)} is wrong", "true, false or a mapping of knobs")
        raise failure([problem], knobs)

    def unknown(self, key: str) -> Problem:
        """The problem of a key that names nothing that can be switched on."""
        return unknown_name("", key, self.base.kind, list(self.options()))

    def dump(self, value: Mapping[str, PartConfig]) -> dict[str, Any]:
        """Every part that is on, with every knob written out."""
        return {key: config.model_dump(mode="json") for key, config in value.items()}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.dump)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                key: {
                    # A key with nothing after it is off, as false is.
                    "anyOf": [{"type": ["boolean", "null"]}, handler(_core(part.Config))],
                    "description": part.summary,
                }
                for key, part in self.options().items()
            },
        }


def open_to_null(form: Schema) -> Schema:
    """The schema of a mapping whose optional knobs may have nothing after them, as if they were not
    there."""
    required = form.get("required", ())
    properties = {
        key: one if key in required or "const" in one else _or_null(one)
        for key, one in form["properties"].items()
    }
    return {**form, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    """The schema or null, with what it says of itself outside, as pydantic writes it."""
    said: Schema = {
        key: schema[key] for key in ("title", "description", "default") if key in schema
    }
    rest = {key: value for key, value in schema.items() if key not in said}
    return {"anyOf": [*rest.pop("anyOf", ()), *([rest] if rest else ()), {"type": "null"}], **said}


def named(config: Schema, key: str, tag: str = "name") -> Schema:
    """The schema of a part's knobs beside its name."""
    properties = {tag: {"const": key}, **config.get("properties", {})}
    required = [tag, *config.get("required", ())]
    return {**config, "properties": properties, "required": required, "title": key}


def _core(model: type[PartConfig]) -> Any:
    return model.__pydantic_core_schema__


def _validated(
    model: type[PartConfig], given: Mapping[str, Any], beside: Sequence[str] = ()
) -> PartConfig:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise failure(problems_from(error, model, beside=beside), given) from None
