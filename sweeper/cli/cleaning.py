"""The verb `clean`: what a sweep's trials need not keep goes, once somebody has seen what it is."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import HomeOption, RefusedServer, SweepName
from sweeper.cli.printing import print_table, say
from sweeper.cli.source import server_meant
from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.permissions import private
from sweeper.wording import in_bytes, plural

if TYPE_CHECKING:
    from sweeper.cleaning import Leaving
    from sweeper.sweepfile.sections import Keep


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(clean)


def clean(
    name: SweepName,
    checkpoints: Annotated[
        str | None,
        typer.Option(metavar="WHICH", help="all, unfinished or 'best N'.  [as in the sweep file]"),
    ] = None,
    generators: Annotated[
        str | None,
        typer.Option(metavar="WHICH", help="all, none or 'best N'.  [as in the sweep file]"),
    ] = None,
    samples: Annotated[
        str | None, typer.Option(metavar="WHICH", help="every or last.  [as in the sweep file]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    home: HomeOption = None,
    server: RefusedServer = None,
) -> int:
    """Remove files that the trials of a sweep no longer need.

    These are checkpoints, generators and sample pictures, and their copies in MLflow. A running
    sweep does this itself, as `keep` in its file says. Use it for sweeps from before `keep`
    existed, or to keep less. Trials that may still continue keep everything. This verb works on
    local files: after `sweeper login`, give --home.
    """
    if server_meant(home, server):
        raise UserError(
            "a server cleans its sweeps as `keep` says: for sweeps from before `keep` existed, run "
            "this on its machine with --home"
        )
    from sweeper.bucket.giving_up import given_up
    from sweeper.cleaning import clean as let_go
    from sweeper.cleaning import leavings
    from sweeper.search.looking import read_standings

    here = Home.at(home)
    folder = here.existing(name)
    with private(here.path), folder.lock():
        standings = read_standings(folder)
        given = {"checkpoints": checkpoints, "generators": generators, "samples": samples}
        keep = _laid_over(standings.sweep.keep, given)
        leaving = leavings(folder, standings, keep)
        if not leaving and not given_up(folder):
            say(f"{name}: nothing to remove ({_in_words(keep)})")
            return 0
        if leaving:
            _print_plan(name, leaving, keep)
            if not (yes or _agreed()):
                say("nothing was removed")
                return 1
        left = let_go(here, folder, standings, leaving, keep)
    say(f"{name}: done")
    if left:
        say(left.advice(name + here.flag))
    return 1 if left else 0


def _laid_over(keep: Keep, given: dict[str, str | None]) -> Keep:
    """What a sweep keeps, with what was given in its place.

    Raises:
        UserError: that is no such setting's.
    """
    from pydantic import ValidationError

    from trials.validation import problems_from

    said = {key: value for key, value in given.items() if value is not None}
    try:
        return type(keep).model_validate(keep.model_dump() | said)
    except ValidationError as error:
        problems = problems_from(error, type(keep))
        raise UserError("; ".join(f"--{problem}" for problem in problems)) from error


def _in_words(keep: Keep) -> str:
    return ", ".join(f"{key}: {value}" for key, value in keep.model_dump().items())


def _print_plan(name: str, leaving: Sequence[Leaving], keep: Keep) -> None:
    """What would go, and how much that frees."""
    sizes: dict[str, list[int]] = defaultdict(list)
    copies = there = 0
    for one in leaving:
        for file in one.files:
            sizes[file.kind].append(file.size)
            there += file.size if file.name in one.copies else 0
        copies += len(one.copies)
    say(f"{name} keeps {_in_words(keep)}. To be removed from {plural(len(leaving), 'trial')}:")
    if sizes:
        sizes["in all"] = [size for kind in sizes.values() for size in kind]
        rows = [(kind, len(taken), in_bytes(sum(taken))) for kind, taken in sizes.items()]
        print_table(("what", "files", "frees"), rows)
    if copies:
        more = f", {in_bytes(there)} more" if there else ""
        say(f"in MLflow {plural(copies, 'file')}{more}")


def _agreed() -> bool:
    """Whether somebody at a terminal says yes.

    Raises:
        UserError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise UserError(
            "nothing was removed: there is no terminal to ask for confirmation; give --yes"
        )
    return typer.confirm("Remove them?", default=False)
