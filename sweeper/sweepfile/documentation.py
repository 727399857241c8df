"""The sweep file as a page, from its schema: every section and key with its meaning and range.

`docs/sweep-file.md` is what `page` gives (`make docs`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sweeper.sweepfile.parameters import FORMS
from sweeper.sweepfile.part_examples import example_of
from sweeper.sweepfile.schema import Schema, sweep_schema

OPENING = """\
# The sweep file

Every section and key of a sweep file, with meaning, default and range, made from the classes that
read it (`make docs`). `sweeper validate FILE` names every mistake of a file with its line, and an
editor that knows the schema ([`sweep.schema.json`](sweep.schema.json), or `sweeper schema`)
completes names as they are typed:

```yaml
# yaml-language-server: $schema=docs/sweep.schema.json
name: mine
base: {data: digits, steps: 2000}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
limits: {trials: 20}
```

Three keys are required: `name`, `base` and `parameters`. A part is chosen by its name alone
(`data: digits`), or by a mapping of its name and settings (`data: {name: digits, size: 16}`).
Values given with `--set` (`--set limits.trials=50`) win over the file's. A range in square brackets
holds its ends, one in round brackets does not.
"""

_ELSEWHERE = {
    "tricks": "Every trick with its knobs, their ranges and conflicts: [tricks](tricks.md).",
    "loss": "Every loss with its knobs: [tricks](tricks.md#loss).",
    "conditioning": "Every use of labels with its knobs: [tricks](tricks.md#labels).",
    "task": "Every task with its knobs: [tricks](tricks.md#task).",
    "data": "What each reads, and how: [data](data.md).",
    "health": "The same may stand on top: [health](#health). Each key is given once.",
}
"""Keys of the base whose choices have a page of their own, and what is said of them here."""
_NAMED_THERE = ("tricks", "loss", "conditioning", "task", "health")

EXAMPLES: Mapping[str, str] = {
    "name": "name: lr_and_tricks\ndescription: which tricks help a small DCGAN?",
    "description": "name: lr_and_tricks\ndescription: which tricks help a small DCGAN?",
    "base": "base:\n  {preset: dcgan, data: digits, steps: 2000, batch_size: 32}",
    "parameters": "parameters:\n  batch_size: {values: [16, 32, 64]}",
    "objective": "objective:\n  {metric: fid, goal: minimize}",
    "health": "health:\n  {stop_on: [divergence, mode_collapse]}",
    "parts": "# pip install my-gan-parts\nparts: [my-gan-parts]",
    "search": "search:\n  {sampler: tpe, seed: 0}",
    "scheduler": "scheduler:\n  {name: asha, grace_steps: 300, reduction_factor: 3}",
    "ablation": "ablation:\n  {design: leave_one_out, seeds: 5}",
    "seeds": "seeds:\n  {confirm_top: 3, replicates: 5}",
    "limits": "limits:\n  {trials: 50, parallel: 4, hours: 12}",
    "resources": "resources:\n  {cpu: 2, gpu: 0.5}",
    "tracking": "tracking:\n  {uri: http://mlflow.lab:5000}",
    "keep": "keep:\n  {checkpoints: best 3, generators: best 10, samples: last}",
}
"""Two lines of each section, for the page; a test reads them."""

_DOMAINS = (
    ("a choice", "loss: {values: [hinge, wgan]}"),
    ("a range", "batch_size: {min: 16, max: 128, q: 16}"),
    (
        "a logarithmic range",
        "optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 0.01}",
    ),
    ("the same value as another", "optimizer.discriminator.lr: {tie: optimizer.generator.lr}"),
    ("a constant", "seed: {value: 3}"),
    ("a trick, on or off", "tricks.ema: {toggle: true}"),
    ("and its knobs while it is on", "tricks.lecam: {toggle: true, knobs: default}"),
    ("where another has a value", "critic_steps: {values: [1, 5], when: {loss: wgan}}"),
)
"""Forms that a parameter may take, each on its line; read by the same test."""


class Key(NamedTuple):
    """One key of a section: its dotted path, and what the schema says of it."""

    path: str
    default: str
    limits: str
    meaning: str


def page() -> str:
    """The page, in Markdown. Imports the trainer's catalogue."""
    schema = sweep_schema()
    made = _Page(schema["$defs"])
    parts = [OPENING]
    for name, section in schema["properties"].items():
        parts.append("\n".join(made.section(name, section)))
    return "\n".join(parts)


def forms() -> str:
    """The parameters that the page shows, as a sweep file has them."""
    return "\n".join(line for _, line in _DOMAINS)


class _Page:
    """Markdown of sections, with the definitions that they refer to."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self.definitions = definitions

    def section(self, name: str, schema: Schema) -> Iterator[str]:
        """A section of the file: what it is, an example, its keys, what can be chosen in it."""
        schema = self._resolved(schema)
        yield f"## `{name}`\n"
        if told := _sentence(schema.get("description", "")):
            yield f"{told}\n"
        yield f"```yaml\n{EXAMPLES[name]}\n```\n"
        if name == "parameters":
            yield from _parameters()
        elif _options(schema):
            yield from self._parts(name, schema)
        elif "properties" in schema:
            yield from self._base(schema) if name == "base" else self._table(schema)

    def _base(self, schema: Schema) -> Iterator[str]:
        """The trial config: its keys, then each that is a section or a choice."""
        inner = {key: self._resolved(value) for key, value in schema["properties"].items()}
        plain = {
            key: value
            for key, value in inner.items()
            if not _options(value) and "properties" not in value
        }
        yield from self._table({"properties": plain})
        for key, value in inner.items():
            if key in plain:
                continue
            yield f"### `base.{key}`\n"
            told = _sentence(value.get("description", ""))
            yield " ".join(filter(None, (told, _ELSEWHERE.get(key, "")))) + "\n"
            if key == "tricks":
                yield "```yaml\ntricks:\n  {ema: true, lecam: {weight: 0.1}}\n```\n"
            elif key in _NAMED_THERE:
                yield from (f"- `{name}`: {told}" for name, told in _summaries(value).items())
                yield ""
            elif _options(value):
                yield from self._parts(key, value)
            else:
                yield from self._nested(key, value)

    def _nested(self, path: str, schema: Schema) -> Iterator[str]:
        """A section of the base, and the choices within it."""
        inner = {key: self._resolved(value) for key, value in schema["properties"].items()}
        chosen = {key: value for key, value in inner.items() if _settled(_options(value))}
        yield from self._table(
            {"properties": {key: value for key, value in inner.items() if key not in chosen}}
        )
        told: dict[str, list[Schema]] = {}
        for key, value in chosen.items():
            yield f"#### `base.{path}.{key}`\n"
            same = next(
                (other for other, options in told.items() if options == _options(value)), ""
            )
            told[key] = _options(value)
            if same:
                yield f"The same as `base.{path}.{same}`.\n"
            else:
                yield from self._parts(f"{path}.{key}", value)

    def _parts(self, path: str, schema: Schema) -> Iterator[str]:
        """Every part that can be chosen at a path, with its settings."""
        summaries = _summaries(schema)
        for option in _options(schema):
            tag, name = _tag_of(option)
            inner = {key: value for key, value in option["properties"].items() if key != tag}
            summary = summaries.get(name) or option["properties"][tag].get("description", "")
            yield f"**`{path}: {name}`**{f': {summary}' if summary else ''}\n"
            example = example_of(path, tag, name, inner, option.get("required", ()))
            yield f"```yaml\n{example}\n```\n"
            yield from self._table({**option, "properties": inner})

    def _table(self, schema: Schema) -> Iterator[str]:
        rows = list(self._keys(schema))
        if rows:
            yield "| key | default | range | meaning |\n|---|---|---|---|"
            for key in rows:
                yield f"| `{key.path}` | {key.default} | {key.limits} | {_cell(key.meaning)} |"
            yield ""

    def _keys(self, schema: Schema, prefix: str = "") -> Iterator[Key]:
        required = schema.get("required", ())
        for name, given in schema["properties"].items():
            inner = self._resolved(given)
            if "properties" in inner:
                yield from self._keys(inner, f"{prefix}{name}.")
                continue
            default = "required" if name in required else _value(given.get("default"))
            yield Key(prefix + name, default, self._limits(inner), inner.get("description", ""))

    def _resolved(self, schema: Schema) -> Schema:
        """The schema itself, where it refers to another; of one that may be null, the other."""
        if "$ref" in schema:
            target = self.definitions[schema["$ref"].rpartition("/")[2]]
            return {**target, **{key: schema[key] for key in schema if key != "$ref"}}
        branches = schema.get("anyOf", ())
        named = [branch for branch in branches if branch.get("type") != "null"]
        if len(named) == 1 and len(branches) == 2:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            return {**self._resolved(named[0]), **rest}
        if named and "$ref" in named[0]:  # one objective, or two in a list
            return self._resolved(named[0])
        return schema

    def _limits(self, schema: Schema) -> str:
        """What a value may be, in words."""
        if "anyOf" in schema:
            return " or ".join(filter(None, (self._limits(one) for one in schema["anyOf"])))
        if "enum" in schema:
            return ", ".join(_value(one) for one in schema["enum"])
        if "const" in schema:
            return _value(schema["const"])
        kind = schema.get("type", "")
        if kind == "array":
            return f"a list of {self._limits(schema.get('items', {})) or 'values'}"
        if kind == "boolean":
            return "`true`, `false`"
        if kind in ("integer", "number"):
            return _interval(schema, "whole number" if kind == "integer" else "number")
        if schema.get("format") == "path":
            return "a path"
        return {"object": "a mapping", "null": ""}.get(kind, "text")


def _interval(schema: Schema, kind: str) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    left, right = "[", "]"
    if "exclusiveMinimum" in schema:
        low, left = schema["exclusiveMinimum"], "("
    if "exclusiveMaximum" in schema:
        high, right = schema["exclusiveMaximum"], ")"
    if low is None and high is None:
        return kind
    if isinstance(high, int) and high > 10**9 and high & (high - 1) == 0:
        return f"{kind} in {left}{low:g}, 2^{high.bit_length() - 1}{right}"
    if high is None:
        return f"{kind} {'≥' if left == '[' else '>'} {low:g}"
    if low is None:
        return f"{kind} {'≤' if right == ']' else '<'} {high:g}"
    return f"{kind} in {left}{low:g}, {high:.12g}{right}"


def _parameters() -> Iterator[str]:
    yield (
        "A key is a dotted path into the base (`batch_size`, `optimizer.generator.lr`, "
        "`tricks.ema`, `tricks.ema.decay`), its value says what may be tried there:\n"
    )
    yield "| form | example |\n|---|---|"
    for what, example in _DOMAINS:
        yield f"| {what} | `{example}` |"
    yield (
        f"\n`distribution` is one of {', '.join(f'`{name}`' for name in FORMS)}, as in W&B sweeps; "
        "bounds are always the values themselves, and are included. Without it, whole bounds make "
        "whole numbers. A knob of a trick that is toggled is searched only while the trick is on, "
        "and what cannot go together is never drawn.\n"
    )


def _options(schema: Schema) -> list[Schema]:
    """The settings of each part that can be chosen; empty where nothing is."""
    for branch in schema.get("anyOf", ()):
        found = branch.get("oneOf") or _options(branch)
        if found:
            return list(found)
    options = schema.get("oneOf") or [
        branch
        for branch in schema.get("anyOf", ())
        if set(branch.get("properties", ())) & {"family", "name"}
    ]
    return list(options)


def _settled(options: list[Schema]) -> bool:
    """Whether any of the parts has a setting of its own."""
    return any(len(option["properties"]) > 1 for option in options)


def _tag_of(option: Schema) -> tuple[str, str]:
    """The key that names a part in its settings, and the name."""
    for key, value in option["properties"].items():
        if "const" in value:
            return key, str(value["const"])
    return "family", str(option["title"])


def _summaries(schema: Schema) -> dict[str, str]:
    """What each part is in a clause, by its name: the schema says it beside the list of names."""
    for branch in schema.get("anyOf", ()):
        if "enum" in branch:
            lines = str(branch.get("description", "")).splitlines()
            return dict(line.split(": ", 1) for line in lines if ": " in line)
        if found := _summaries(branch):
            return found
    return {}


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "." if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
