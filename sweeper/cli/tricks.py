"""The verb `tricks`: the catalogue, one trick in full, the presets."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sweeper.cli.options import JsonOption, print_json
from sweeper.errors import UserError


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(tricks)


def tricks(
    name: Annotated[str | None, typer.Argument(help="One trick, in full.")] = None,
    presets: Annotated[bool, typer.Option("--presets", help="List the presets.")] = False,
    json: JsonOption = False,
) -> None:
    """The tricks by group, or one of them in full."""
    if presets:
        _presets(json)
    elif name is None:
        _catalogue(json)
    else:
        _one(name, json)


def _facts(key: str) -> dict[str, Any]:
    from trials import catalogue

    trick = catalogue.tricks()[key]
    ranges = trick.search_ranges()
    conflicts = dict(trick.conflicts)
    for other, kind in catalogue.tricks().items():
        if key in kind.conflicts:
            conflicts[other] = kind.conflicts[key]
        elif other != key and trick.slot and kind.slot == trick.slot:
            conflicts[other] = f"only one {trick.slot.replace('_', ' ')} can be on"
    return {
        "name": key,
        "group": trick.group,
        "path": catalogue.path_of(key),
        "summary": trick.summary,
        "formula": trick.formula,
        "paper": trick.paper,
        "source": trick.source.split(),
        "knobs": {
            knob: {
                "default": field.get_default(call_default_factory=True),
                "meaning": field.description,
                "search": ranges.get(knob),
            }
            for knob, field in trick.Config.model_fields.items()
        },
        "requires": list(trick.requires),
        "conflicts": conflicts,
        "description": trick.description(),
    }


def _catalogue(json: bool) -> None:
    from trials import catalogue

    listing = [_facts(key) for key in catalogue.tricks()]
    if json:
        print_json(listing)
        return
    width = max(len(facts["name"]) for facts in listing)
    group = None
    for facts in listing:
        if facts["group"] != group:
            group = facts["group"]
            typer.echo(f"\n{group}")
        typer.echo(f"  {facts['name']:<{width}}  {facts['summary']}")
    typer.echo("\n`sweeper tricks NAME` shows one in full, `--presets` the presets.")


def _one(name: str, json: bool) -> None:
    from trials import catalogue
    from trials.problems import nearest

    known = catalogue.tricks()
    if name not in known:
        close = nearest(name, known)
        hint = f"; did you mean '{close}'?" if close else "; `sweeper tricks` lists them"
        raise UserError(f"there is no trick called '{name}'{hint}")
    facts = _facts(name)
    if json:
        print_json(facts)
        return
    typer.echo(f"{name}: {facts['summary']}\n")
    for label in ("formula", "paper"):
        typer.echo(f"  {label:<9} {facts[label]}")
    typer.echo(f"  {'sources':<9} {' '.join(facts['source']) or '-'}")
    typer.echo(f"  {'path':<9} {facts['path']}")
    if facts["requires"]:
        typer.echo(f"  {'needs':<9} {' or '.join(facts['requires'])}")
    if facts["knobs"]:
        typer.echo("\nknobs")
        for knob, about in facts["knobs"].items():
            searched = f"   searched: {_range(about['search'])}" if about["search"] else ""
            typer.echo(f"  {knob:<14} {about['default']!s:<14} {about['meaning']}{searched}")
    if facts["conflicts"]:
        typer.echo("\nconflicts")
        for other, reason in facts["conflicts"].items():
            typer.echo(f"  {other:<22} {reason}")
    typer.echo("\n" + facts["description"])


def _range(domain: dict[str, Any]) -> str:
    if "values" in domain:
        return ", ".join(map(str, domain["values"]))
    scale = " (log)" if str(domain.get("distribution", "")).startswith("log") else ""
    return f"{domain['min']} to {domain['max']}{scale}"


def _presets(json: bool) -> None:
    from trials import presets

    listing = [{"name": name, **presets.load(name)} for name in presets.names()]
    if json:
        print_json(listing)
        return
    width = max(len(preset["name"]) for preset in listing)
    for preset in listing:
        typer.echo(f"{preset['name']:<{width}}  {preset['summary']}")
        typer.echo(f"{'':<{width}}  {preset['paper']}")
