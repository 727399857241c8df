"""Verbs that look: ls, status, top, show, logs. They read the study and change nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.causes import cause
from sweeper.cli.leaderboard import (
    best_in_words,
    cell_as_dict,
    print_leaderboard,
    ranked_cells,
)
from sweeper.cli.options import (
    HomeOption,
    JsonOption,
    ServerOption,
    SweepName,
    TrialNumber,
    print_json,
)
from sweeper.cli.printing import number, print_table, say, setting
from sweeper.cli.source import server_meant, source_of
from sweeper.cli.summary import summary_of
from sweeper.errors import SweeperError, UserError
from sweeper.home import Home, SweepFolder
from sweeper.trial import trial_name
from sweeper.wording import over_of

if TYPE_CHECKING:
    from sweeper.trial import Trial


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command(name="ls")(ls)
    app.command()(status)
    app.command()(top)
    app.command()(show)
    app.command()(logs)


def ls(home: HomeOption = None, server: ServerOption = None, json: JsonOption = False) -> int:
    """List the sweeps of a home, or of a server.

    The exit status is 1 if one of them cannot be read.
    """
    with source_of(home, server) as source:
        listing = source.listing()
    if json:
        print_json(listing.sweeps)
    elif listing.sweeps:
        _print_listing(listing.sweeps)
    elif not listing.failed:
        say(listing.empty)
    for message in listing.failed:
        say(f"sweeper: {message}", err=True)
    return SweeperError.exit_status if listing.failed else 0


def _print_listing(listing: Sequence[dict[str, Any]]) -> None:
    columns: dict[str, Callable[[dict[str, Any]], Any]] = {
        "sweep": lambda sweep: sweep["name"],
        "owner": lambda sweep: sweep["owner"],
        "state": _state_of,
        "trials": lambda sweep: over_of(sweep["over"], sweep["budget"]),
        "failed": lambda sweep: sweep["failed"],
        "best": lambda sweep: f"{sweep['metric']} {number(sweep['best'])}",
    }
    shown = [title for title in columns if title not in ("owner", "failed") or title in listing[0]]
    print_table(shown, [[columns[title](sweep) for title in shown] for sweep in listing])


def _state_of(sweep: dict[str, Any]) -> str:
    return f"{sweep['state']}, no final score" if sweep.get("unscored") else str(sweep["state"])


def status(
    name: SweepName,
    home: HomeOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Show the progress of a sweep, and its failures."""
    from sweeper.search.unscored import in_words as unscored_in_words
    from sweeper.standings.forecast import forecast_of
    from sweeper.standings.otherwise import measured_otherwise
    from sweeper.standings.verdict import verdict_in_words

    with source_of(home, server) as source:
        sight, (disk, bucket) = source.sight(name, whole=json), source.taken(name)
    standings, summary = sight.standings, summary_of(sight)
    running = [trial for trial in standings.trials if trial.state == "running"]
    if json:
        taken = {"disk": disk.as_dict(), "bucket": bucket.as_dict() if bucket else None}
        at_work = {"running_trials": [trial.as_dict() for trial in running]}
        print_json({**summary, **taken, **at_work, "foreign": sight.foreign})
        return
    say(f"{name}: {sight.state}" + (f", driven by {sight.by}" if sight.by else ""))
    if sight.unscored:
        say(f"  final    {unscored_in_words(sight.unscored)}; {source.continues(name)} measures it")
    if sight.waits:
        say(f"  waits    {sight.waits}")
    # The ledger knows only that they had begun: without a driver they are not running.
    going_on = "running" if sight.by else "cut off"
    words = {"running": going_on}
    counts = ", ".join(
        f"{count} {words.get(state, state)}" for state, count in standings.counts.items()
    )
    say(f"  trials   {counts or 'none yet'}; {over_of(sight.over, sight.budget)} over")
    if best := best_in_words(standings):
        say(f"  best     {best}")
    if verdict := verdict_in_words(standings):
        say(f"  verdict  {verdict}")
    if told := measured_otherwise(standings):
        say(f"  apart    {told}: not compared")
    if summary["left"]:
        say(f"  left     {forecast_of(standings).in_words()}")
    say(f"  disk     {disk.in_words()}")
    if bucket:
        say(f"  bucket   {bucket.in_words()}")
    for trial, reason in summary["given_up"].items():
        say(f"  given up {trial}: {reason}")
    for stop in standings.stops:
        saved = f", {stop.steps:,} steps saved" if stop.saves and stop.steps else ""
        say(f"  stopped  {stop.trials} × {stop.cause}{saved}")
    metric = standings.metrics[0]
    for trial in running:
        curve = trial.curve(metric)
        seen = f"step {trial.steps}"
        seen += f", {metric} {number(curve[max(curve)])}" if curve else ""
        say(f"  {going_on:<8} {trial.name}  {seen}")
    for trial in standings.trials:
        for note in trial.notes:
            say(f"  note     {trial.name}: {note}")
    for entry in sight.foreign:
        say(f"  foreign  {trial_name(entry['number'])}  {entry['words']}")


def top(
    name: SweepName,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="Number of trials to show.")
    ] = 10,
    home: HomeOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Show the best trials of a sweep, or cells of an ablation."""
    from sweeper.standings.otherwise import measured_otherwise

    with source_of(home, server) as source:
        standings = source.sight(name, whole=json).standings
    if not json:
        print_leaderboard(standings, count)
        if told := measured_otherwise(standings):
            say(f"{told}, and not among these")
    elif standings.sweep.is_ablation:
        print_json([cell_as_dict(standings, cell) for cell in ranked_cells(standings)[:count]])
    else:
        print_json(
            [
                {
                    **standing.trial.as_dict(),
                    "rank": standing.rank,
                    "fresh_seeds": list(standing.confirmed.values) if standing.confirmed else [],
                }
                for standing in standings.ranked[:count]
            ]
        )


def show(
    name: SweepName,
    trial: TrialNumber,
    reproduce: Annotated[
        bool, typer.Option("--reproduce", help="Print the commands that reproduce it instead.")
    ] = False,
    home: HomeOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Show one trial: settings, evaluations, outcome, files."""
    if reproduce:
        _print_commands(name, trial, home, server, json)
        return
    from sweeper.bucket.copies import trial_folder
    from sweeper.bucket.place import place_of
    from sweeper.retention import notes, told

    with source_of(home, server) as source:
        sight = source.sight(name, trial)
    record, folder = sight.record(trial), SweepFolder(sight.folder)
    standings, files = sight.standings, trial_folder(folder, trial)
    published = f"{place}/{files.name}" if (place := place_of(folder)) else ""
    if json:
        let_go = notes(files)
        print_json({**record.as_dict(), "folder": files, "published": published, "let_go": let_go})
        return
    _print_about(name, record, files, published)
    if record.protocol:
        say(f"  protocol {', '.join(f'{k} {v}' for k, v in record.protocol.items())}")
    if not standings.comparable(record):
        say("  apart    measured with a different protocol than the sweep uses now: not compared")
    say("  searched")
    for path, value in record.values.items():
        say(f"    {path:<32} {setting(value)}")
    names = list(standings.metrics)
    columns = [*names, *_measured_beside(names, record)]
    rows = [
        (evaluation.step, *[number(evaluation.metrics.get(column)) for column in columns])
        for evaluation in record.evaluations
    ]
    if rows:
        say("")
        print_table(("step", *columns), rows)
    if record.final is not None:
        values = ", ".join(f"{name} {number(v)}" for name, v in record.final.metrics.items())
        say(f"  final    {values}")
        say(f"           the generator of step {record.final.step}, on fresh noise")
    for symptom in record.symptoms:
        note = f": {symptom.note}" if symptom.note else ""
        say(f"  seen     {symptom.name} at step {symptom.step}{note}")
    for note in (*record.notes, *told(files)):
        say(f"  note     {note}")
    if record.log_tail:
        say("\nlast lines of its log\n" + record.log_tail)


def _print_about(name: str, record: Trial, files: Path, published: str) -> None:
    """What a trial is, how it ended, and where it was."""
    from sweeper.provenance.attempts import read_attempts

    ending = f" ({record.cause}: {record.reason})" if record.cause else ""
    say(f"trial {record.name} of {name}: {record.state}{ending}")
    if record.cause:
        say(f"  why      {cause(record.cause).words}")
    say(f"  role     {record.role}" + (f" of trial {record.of}" if record.of is not None else ""))
    if record.donors:
        say(f"  weights  {record.took_over_last}. `searched` is what it had since then")
    say(f"  files    {files}" + (f", as published at {published}" if published else ""))
    for attempt in read_attempts(files):
        told = attempt.surroundings
        since = f" from step {attempt.step}" if attempt.step else ""
        say(f"  ran on   {told.get('machine')}{since}; --reproduce prints the commands for it")


def _print_commands(
    name: str, trial: int, home: Path | None, server: str | None, json: bool
) -> None:
    """Print how a trial is trained again."""
    from sweeper.provenance.commands import script
    from sweeper.provenance.recipe import recipe_of

    if server_meant(home, server):
        raise UserError("--reproduce reads the files of a home: run it on the server's machine")
    here = Home.at(home)
    recipe = recipe_of(here.existing(name), trial)
    commands = script(recipe, here.path)
    if json:
        print_json(
            {"commands": commands, "attempts": [one.model_dump() for one in recipe.attempts]}
        )
    else:
        say(commands.rstrip("\n"))


def logs(
    name: SweepName,
    trial: TrialNumber,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=0, help="Number of last lines to show.  [all]")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines as they are written.")
    ] = False,
    home: HomeOption = None,
    server: ServerOption = None,
) -> None:
    """Show the log of a trial."""
    with source_of(home, server) as source:
        for lines in source.log(name, trial, tail=tail, follow=follow):
            say(lines)
            sys.stdout.flush()


def _measured_beside(names: Sequence[str], trial: Trial) -> list[str]:
    """The measures that a trial has values of, beside those named, as far as a line has room."""
    from trials.metrics.measure import Measure

    measured = {name for evaluation in trial.evaluations for name in evaluation.metrics}
    return [
        key
        for key, measure in Measure.all().items()
        if measure.brief and key in measured and key not in names
    ]
