"""The JSON schema of the sweep file, from the same classes that read it, for editors.

It completes every name there is (settings, tricks and their knobs, losses, presets, measures) and
checks types and limits. What stands between two settings (conditions, conflicts, bounds that cross)
only `sweeper validate` can see.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, create_model
from pydantic.json_schema import models_json_schema

from sweeper.home import NAME_RULE
from sweeper.sweepfile.parameters import FORMS
from sweeper.sweepfile.sections import CHOICES, ON_TOP, SECTIONS, Objective
from trials.by_name import open_to_null

Schema = dict[str, Any]
_References = Mapping[Any, Schema]

_REF = "#/$defs/{model}"
_NUMBER: Schema = {"type": "number"}
_CONDITION: Schema = {
    "type": "object",
    "minProperties": 1,
    "description": "Other parameters and the values they must have for this one to exist.",
}


def sweep_schema() -> Schema:
    """The schema of a sweep file, JSON Schema 2020-12. Imports the trainer's catalogue."""
    from trials.config import TrialConfig
    from trials.metrics.measure import Measure
    from trials.roles import measures

    fields: dict[str, Any] = {key: (Annotated[Any, kind], ...) for key, kind in CHOICES.items()}
    choices = create_model("Choices", **fields)
    models: list[type[BaseModel]] = [TrialConfig, Objective, *SECTIONS.values(), choices]
    references, shared = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template=_REF
    )
    refs: _References = {model: schema for (model, _), schema in references.items()}
    defs: dict[str, Schema] = shared["$defs"]
    base = _base(refs, defs)
    on_top = {name: _nullable(base["properties"][name]) for (name,) in ON_TOP}
    base["properties"]["health"] = on_top["health"]
    objective = refs[Objective]
    numbers = (key for key, measure in Measure.all().items() if not measure.of_parts)
    _target(objective, defs)["properties"]["metric"] |= _metric_names(numbers)
    chosen = defs.pop("Choices")["properties"]
    sections = {key: _nullable(_choice(schema)) for key, schema in chosen.items()}
    sections |= {key: _nullable(refs[model]) for key, model in SECTIONS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "GAN sweep",
        "description": "One sweep of GAN trainings: what to search, how, and how far.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "base", "parameters"],
        "properties": {
            "name": {"type": "string", "description": f"Name of the sweep: {NAME_RULE}."},
            "description": {"type": "string", "description": "What the sweep is for."},
            "base": {**base, "description": "The trial config that every trial starts from."},
            "parameters": {
                "type": "object",
                "description": "Dotted path into the trial config → what it may be.",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": {
                    path: _parameter(path, told)
                    for path, told in dict(_paths(base, defs)).items()
                    if not measures(path)
                },
            },
            "objective": {
                "anyOf": [
                    objective,
                    {"type": "array", "items": objective, "minItems": 1, "maxItems": 2},
                    {"type": "null"},
                ]
            },
            **on_top,
            **sections,
        },
        "$defs": defs | _domains(),
    }


def _base(refs: _References, defs: Mapping[str, Schema]) -> Schema:
    """The trial config's schema, with the preset that a file may begin with."""
    from trials import presets
    from trials.config import TrialConfig

    base = _copied(refs[TrialConfig], defs)
    base["properties"]["preset"] = {
        "enum": list(presets.names()),
        "description": "A paper's configuration to start from; what stands beside it wins.",
    }
    # A preset may give what is otherwise required.
    return {key: value for key, value in base.items() if key != "required"}


def _nullable(schema: Schema) -> Schema:
    """A heading with nothing under it is null, and means the defaults."""
    return {"anyOf": [schema, {"type": "null"}]}


def _choice(schema: Schema) -> Schema:
    """The schema of a section that chooses a part, whose knobs may have nothing after them."""
    names, mappings = schema["anyOf"]
    mappings = {**mappings, "oneOf": [open_to_null(form) for form in mappings["oneOf"]]}
    return {**schema, "anyOf": [names, mappings]}


def _target(reference: Schema, defs: Mapping[str, Schema]) -> Schema:
    """The schema that a reference names."""
    return defs[reference["$ref"].rpartition("/")[2]]


def _copied(reference: Schema, defs: Mapping[str, Schema]) -> Schema:
    """A copy of the schema that a reference names, safe to add properties to."""
    target = _target(reference, defs)
    return {**target, "properties": dict(target.get("properties", {}))}


def _metric_names(measures: Iterable[str]) -> Schema:
    names = list(measures)
    # A second part is possible: of a measure, class_fid/3, and of what a trick logs, inpaint/psnr.
    return {"anyOf": [{"enum": names}, {"pattern": "^[a-z_0-9]+/."}]}


def _paths(
    schema: Schema, defs: Mapping[str, Schema], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Every dotted path that a configuration can have, groups included, with its description."""
    if "$ref" in schema:
        yield from _paths(_target(schema, defs), defs, prefix)
    for branch in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(branch, ()):
            yield from _paths(option, defs, prefix)
    for name, inner in schema.get("properties", {}).items():
        if "const" not in inner:  # The name of one data source or loss: search the whole choice.
            yield prefix + name, inner.get("description", "")
        yield from _paths(inner, defs, f"{prefix}{name}.")


def _parameter(path: str, description: str) -> Schema:
    is_trick = path.startswith("tricks.") and path.count(".") == 1
    form: Schema = {"$ref": "#/$defs/sweep_trick" if is_trick else "#/$defs/sweep_domain"}
    return form | ({"description": description} if description else {})


def _form(required: Iterable[str], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**properties, "when": _CONDITION},
    }


def _domains() -> dict[str, Schema]:
    """The forms of a parameter, one definition each."""
    ranges = [name for name, keys in FORMS.items() if "min" in keys]
    values = _form(
        ["values"],
        values={"type": "array", "minItems": 1, "description": "The values to choose from."},
        distribution={"const": "categorical"},
    )
    constant = _form(["value"], value={}, distribution={"const": "constant"})
    numbers = _form(
        ["min", "max"],
        min=_NUMBER | {"description": "Lowest value, included."},
        max=_NUMBER | {"description": "Highest value, included."},
        q=_NUMBER | {"description": "Step between values.", "exclusiveMinimum": 0},
        step=_NUMBER | {"description": "Another name of q.", "exclusiveMinimum": 0},
        distribution={
            "enum": ranges,
            "description": "Whole numbers between whole bounds, else uniform, unless said here. "
            "Bounds are always the values themselves.",
        },
    )
    toggle = _form(
        ["toggle"],
        toggle={"const": True, "description": "The trick is on or off."},
        knobs={"const": "default", "description": "Search the trick's knobs too, while it is on."},
    )
    tie = {
        "type": "object",
        "additionalProperties": False,
        "required": ["tie"],
        "properties": {
            "tie": {
                "type": "string",
                "description": "Always has the value of the parameter at that path.",
            }
        },
    }
    domain = [values, constant, numbers, tie]
    return {"sweep_domain": {"anyOf": domain}, "sweep_trick": {"anyOf": [toggle, *domain]}}


def schema_text() -> str:
    """The schema as `sweeper schema` prints it and as docs/sweep.schema.json holds it."""
    return json.dumps(sweep_schema(), indent=2) + "\n"
