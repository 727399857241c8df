"""The verb `parts`: every kind of part, what there is of it, and where it comes from."""

from __future__ import annotations

from typing import Any

import typer

from sweeper.cli.options import JsonOption, print_json
from sweeper.cli.printing import print_table, say


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(parts)


def parts(json: JsonOption = False) -> int:
    """List everything that a sweep file can choose by name.

    Installed distributions offer parts under the entry-point group gan_sweeper.parts; a file that
    uses some says so: `parts: [DISTRIBUTION]`. The exit status is 1 where one cannot be imported.
    """
    from trials.distributions import installed
    from trials.part import using_installed

    with using_installed() as broken:
        listing = _listing()
    if json:
        offered = [
            {"name": plugin.name, "version": plugin.version} for plugin in installed().values()
        ]
        faults = {problem.path: problem.message for problem in broken}
        print_json({"parts": listing, "distributions": offered, "broken": faults})
        return bool(broken)
    rows = [(part["kind"], part["name"], part["from"], part["summary"]) for part in listing]
    print_table(("kind", "part", "from", "what it does"), rows)
    for plugin in installed().values():
        say(f"\n{plugin.name} {plugin.version} is used by files that say `parts: [{plugin.name}]`")
    for problem in broken:
        say(f"sweeper: {problem.message}", err=True)
    return bool(broken)


def _listing() -> list[dict[str, Any]]:
    import trials.config  # noqa: F401 - it brings the trainer's kinds
    from sweeper.parts import BASES, base_of
    from trials.origins import origin_of
    from trials.part import bases

    for kind in BASES:  # and these are the service's
        base_of(kind)
    for kind in BASES:
        base_of(kind)  # makes the kind known

    return [
        {"kind": kind, "name": key, "from": str(origin_of(part)), "summary": part.summary}
        for kind, base in sorted(bases().items())
        for key, part in base.all().items()
    ]
