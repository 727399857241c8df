"""The catalogue as a page: docs/tricks.md (`make docs`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from trials import catalogue, presets
from trials.facts import facts_of
from trials.trick import Trick

OPENING = """\
# Tricks

Everything a trial can switch on, made from the catalogue (`make docs`).
`sweeper tricks NAME` says the same in a terminal. What is searched of a knob is what
`tricks.NAME: {toggle: true, knobs: default}` searches. Costs are ratios of CPU time on 8×8 digits,
as `python benchmarks/tricks.py --write` measured them, with the knobs at their defaults; that of a
loss, a use of labels or a task is beside `non_saturating`, `none` and `generate`, and that of
`dynamic_balance` is of rounds in which it plays more steps.
"""


def page() -> str:
    """The page, in Markdown."""
    listing = catalogue.tricks()
    parts = [OPENING]
    for group, members in itertools.groupby(listing.values(), key=lambda trick: trick.group):
        parts.append(f"## {group.capitalize()}\n")
        parts += ["\n".join(_trick(trick)) + "\n" for trick in members]
    parts.append("## Presets\n")
    rows = ["| preset | what it is | paper | networks as published at |", "|---|---|---|---|"]
    for name in presets.names():
        about = presets.load(name)
        sizes = ", ".join(f"{size}" for size in about["published"]) or "no size"
        paper, summary = _cell(about["paper"]), _cell(about["summary"])
        rows.append(f"| `{name}` | {summary} | {paper} | {sizes}; {_cell(about['elsewhere'])} |")
    parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _trick(trick: type[Trick]) -> Iterator[str]:
    yield f"### `{trick.key}`\n"
    yield f"{trick.summary[:1].upper()}{trick.summary[1:]}. `{catalogue.path_of(trick.key)}`\n"
    yield f"    {trick.formula}\n"
    yield f"{trick.paper}."
    yield f"\nCost: {catalogue.cost_in_words(trick.key)}."
    ranges = trick.search_ranges()
    if trick.Config.model_fields:
        yield "\n| knob | default | meaning | searched |\n|---|---|---|---|"
    for name, field in trick.Config.model_fields.items():
        default = field.get_default(call_default_factory=True)
        searched = _range(ranges[name]) if name in ranges else ""
        yield f"| `{name}` | `{default}` | {_cell(field.description or '')} | {searched} |"
    if trick.requires:
        yield f"\nNeeds {' or '.join(f'`{name}`' for name in trick.requires)}."
    if conflicts := facts_of(trick.key)["conflicts"]:
        yield ""
        yield from _by_reason(conflicts)
    if trick.differences:
        yield "\nNot as in the paper or its authors' code:\n"
        yield from (f"- {difference}" for difference in trick.differences)
    if trick.not_capturable:
        yield f"\nNo CUDA graph could repeat a step with it: {trick.not_capturable}."
    if trick.not_compilable:
        yield f"\nNetworks with it are not compiled: {trick.not_compilable}."


def _by_reason(conflicts: Mapping[str, str]) -> Iterator[str]:
    """A line for each reason, with all that it excludes: a slot has many rivals."""
    excluded: dict[str, list[str]] = {}
    for other, reason in conflicts.items():
        excluded.setdefault(reason, []).append(f"`{other}`")
    for reason, others in excluded.items():
        yield f"- Not with {', '.join(others)}: {reason}."


def _range(domain: dict[str, object]) -> str:
    if "values" in domain:
        values = domain["values"]
        return ", ".join(f"`{value}`" for value in values) if isinstance(values, list) else ""
    scale = ", log" if str(domain.get("distribution", "")).startswith("log") else ""
    return f"{domain['min']} to {domain['max']}{scale}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
