"""The verb `tricks`: the catalogue, one trick in full, the presets."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from sweeper.cli.options import JsonOption, print_json
from sweeper.cli.printing import say, terminal_columns
from sweeper.errors import UserError


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(tricks)


def tricks(
    name: Annotated[
        str | None, typer.Argument(help="Trick or preset to show in full.", metavar="NAME")
    ] = None,
    presets: Annotated[bool, typer.Option("--presets", help="List the presets.")] = False,
    json: JsonOption = False,
) -> None:
    """List the tricks, or show one of them in full.

    The list includes those of installed distributions.
    """
    from trials.part import using_installed

    with using_installed():
        _shown(name, presets, json)


def _shown(name: str | None, presets: bool, json: bool) -> None:
    from trials import catalogue
    from trials import presets as stored

    if presets and name is not None and name not in stored.names():
        listed = "`sweeper tricks --presets` lists them"
        raise UserError(f"there is no preset called '{name}'; {listed}")
    if name is not None and name in stored.names() and (presets or name not in catalogue.tricks()):
        _presets((name,), json)
    elif presets:
        _presets(stored.names(), json)
    elif name is None:
        _catalogue(json)
    else:
        _one(name, json)


def _catalogue(json: bool) -> None:
    from trials import catalogue
    from trials.facts import facts_of

    listing = [facts_of(key) for key in catalogue.tricks()]
    if json:
        print_json(listing)
        return
    width = max(len(facts["name"]) for facts in listing)
    group = None
    for facts in listing:
        if facts["group"] != group:
            group = facts["group"]
            say(f"\n{group}")
        _row(f"  {facts['name']:<{width}}  ", facts["summary"])
    say("\n`sweeper tricks NAME` shows one in full, `--presets` the presets.")


def _one(name: str, json: bool) -> None:
    from trials import catalogue
    from trials.facts import facts_of
    from trials.problems import nearest

    tricks = catalogue.tricks()
    if name not in tricks:
        close = nearest(name, tricks)
        hint = f"; did you mean '{close}'?" if close else "; `sweeper tricks` lists them"
        raise UserError(f"there is no trick called '{name}'{hint}")
    facts = facts_of(name)
    if json:
        print_json(facts)
        return
    _row("", f"{name}: {facts['summary']}")
    say()
    about = {
        "formula": facts["formula"],
        "paper": facts["paper"],
        "path": facts["path"],
        "from": facts["from"],
        "needs": " or ".join(facts["requires"]),
        "cost": catalogue.cost_in_words(name),
    }
    for label, text in about.items():
        if text:
            _row(f"  {label:<9} ", text)
    if facts["knobs"]:
        say("\nknobs")
        _knobs(facts["knobs"])
    if facts["conflicts"]:
        say("\nconflicts")
        widest = max(map(len, facts["conflicts"]))
        for other, reason in facts["conflicts"].items():
            _row(f"  {other:<{widest}}  ", reason)
    if facts["differences"]:
        say("\ndifferences from the paper or its authors' code")
        for difference in facts["differences"]:
            _row("  ", difference)
    for paragraph in facts["description"].split("\n\n"):
        say()
        if any(line.startswith(" ") for line in paragraph.splitlines()):
            say(paragraph)  # a formula stands as it was set
        else:
            _row("", " ".join(paragraph.split()) if terminal_columns() else paragraph)


def _knobs(knobs: dict[str, Any]) -> None:
    """A line a knob: its name, its default, its meaning, what is searched of it."""
    names = max(map(len, knobs))
    defaults = max(len(_value(about["default"])) for about in knobs.values())
    for knob, about in knobs.items():
        searched = f"; searched: {_range(about['search'])}" if about["search"] else ""
        opening = f"  {knob:<{names}}  {_value(about['default']):<{defaults}}  "
        _row(opening, about["meaning"] + searched)


def _value(default: Any) -> str:
    """A default as it would be written in a sweep file."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"[{', '.join(map(str, default))}]" if isinstance(default, tuple) else str(default)


def _row(opening: str, text: str) -> None:
    """`opening` and `text`, whose further lines are indented below it. Only a terminal's lines
    are broken, so that a pipe gets one line for each entry."""
    indented, columns = " " * len(opening), terminal_columns()
    if columns >= len(opening) + 20:
        text = textwrap.fill(text, columns, initial_indent=opening, subsequent_indent=indented)
        say(text)
    else:
        say(opening + text)


def _range(domain: dict[str, Any]) -> str:
    if "values" in domain:
        return ", ".join(map(str, domain["values"]))
    scale = " (log)" if str(domain.get("distribution", "")).startswith("log") else ""
    return f"{domain['min']} to {domain['max']}{scale}"


def _presets(names: tuple[str, ...], json: bool) -> None:
    from trials import presets

    listing = [{"name": name, **presets.load(name)} for name in names]
    if json:
        print_json(listing)
        return
    width = max(len(preset["name"]) for preset in listing)
    for preset in listing:
        _row(f"{preset['name']:<{width}}  ", preset["summary"])
        _row(f"{'':<{width}}  ", preset["paper"])
        for size, place in preset["published"].items():
            _row(f"{'':<{width}}  ", f"{size}×{size}: {place}")
        _row(f"{'':<{width}}  ", f"elsewhere: {preset['elsewhere']}")
