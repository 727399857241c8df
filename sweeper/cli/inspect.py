"""Verbs that look: ls, status, top, show. They read the study and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.causes import cause
from sweeper.cli.leaderboard import (
    best_in_words,
    cell_as_dict,
    print_leaderboard,
    ranked_cells,
    ranked_trials,
)
from sweeper.cli.options import HomeOption, JsonOption, SweepName, print_json
from sweeper.cli.printing import number, print_table, say, setting
from sweeper.errors import SweeperError, UserError
from sweeper.home import Home, SweepFolder
from sweeper.trial import trial_name

if TYPE_CHECKING:
    from sweeper.standings import Standings
    from sweeper.trial import Trial


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command(name="ls")(ls)
    app.command()(status)
    app.command()(top)
    app.command()(show)


def ls(home: HomeOption = None, json: JsonOption = False) -> int:
    """List the sweeps of a home.

    The exit status is 1 where one of them cannot be read.
    """
    here = Home.at(home)
    listing, failed = [], []
    for name in here.names():
        try:
            folder = here.sweep(name)
            listing.append(_summary(folder, _standings(folder)))
        except (SweeperError, OSError) as error:
            failed.append(f"{name} cannot be read: {error}")
    if json:
        print_json(listing)
    elif listing:
        _print_listing(listing)
    elif not failed:
        say(f"no sweeps in {here.path} yet; `sweeper run FILE` starts one")
    for message in failed:
        say(f"sweeper: {message}", err=True)
    return SweeperError.exit_status if failed else 0


def _print_listing(listing: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            s["name"],
            s["state"],
            f"{s['over']}/{s['budget'] or '?'}",
            s["failed"],
            number(s["best"]),
        )
        for s in listing
    ]
    print_table(("sweep", "state", "trials", "failed", "best"), rows)


def status(name: SweepName, home: HomeOption = None, json: JsonOption = False) -> None:
    """How far a sweep is, and what failed."""
    from sweeper.results import read_all
    from sweeper.standings.forecast import forecast_of
    from sweeper.standings.otherwise import measured_otherwise
    from sweeper.standings.verdict import verdict_in_words

    folder = Home.at(home).existing(name)
    standings, foreign = read_all(folder)
    summary = _summary(folder, standings)
    running = [trial for trial in standings.trials if trial.state == "running"]
    if json:
        running_trials = [trial.as_dict() for trial in running]
        entries = [asdict(entry) for entry in foreign]
        print_json({**summary, "running_trials": running_trials, "foreign": entries})
        return
    driver = f", driven by process {summary['driver']}" if summary["driver"] else ""
    say(f"{name}: {summary['state']}{driver}")
    # The ledger knows only that they had begun: without a driver they are not running.
    going_on = "running" if summary["driver"] is not None else "cut off"
    words = {"running": going_on}
    counts = ", ".join(
        f"{count} {words.get(state, state)}" for state, count in standings.counts.items()
    )
    say(f"  trials   {counts or 'none yet'}; {summary['over']} of {summary['budget'] or '?'} over")
    if best := best_in_words(standings):
        say(f"  best     {best}")
    if verdict := verdict_in_words(standings):
        say(f"  verdict  {verdict}")
    if told := measured_otherwise(standings):
        say(f"  apart    {told}, and compared with nothing")
    if summary["left"]:
        say(f"  left     {forecast_of(standings).in_words()}")
    for trial, reason in summary["given_up"].items():
        say(f"  given up {trial}: {reason}")
    for stop in standings.stops:
        saved = f", {stop.steps:,} steps saved" if stop.saves and stop.steps else ""
        say(f"  stopped  {stop.trials} × {stop.symptom}{saved}")
    metric = standings.metrics[0]
    for trial in running:
        curve = trial.curve(metric)
        seen = f"step {trial.steps}"
        seen += f", {metric} {number(curve[max(curve)])}" if curve else ""
        say(f"  {going_on:<8} {trial.name}  {seen}")
    for trial in standings.trials:
        for note in trial.notes:
            say(f"  note     {trial.name}: {note}")
    for entry in foreign:
        say(f"  foreign  {trial_name(entry.number)}  {entry.words}")


def top(
    name: SweepName,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many to show.")] = 10,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the best trials of a sweep, or cells of an ablation."""
    from sweeper.standings.otherwise import measured_otherwise

    standings = _standings(Home.at(home).existing(name))
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
                for standing in ranked_trials(standings)[:count]
            ]
        )


def show(
    name: SweepName,
    trial: Annotated[int, typer.Argument(help="Number of a trial.", metavar="TRIAL")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show one trial: settings, evaluations, ending, files."""
    folder = Home.at(home).existing(name)
    standings = _standings(folder)
    record = next((record for record in standings.trials if record.number == trial), None)
    if record is None:
        numbers = [record.number for record in standings.trials]
        there = f"; the last one is {max(numbers)}" if numbers else ": it has none yet"
        raise UserError(f"{name} has no trial {trial}{there}")
    if json:
        print_json({**record.as_dict(), "folder": folder.trial(trial)})
        return
    ending = f" ({record.symptom}: {record.reason})" if record.symptom else ""
    say(f"trial {record.name} of {name}: {record.state}{ending}")
    if record.symptom:
        say(f"  why      {cause(record.symptom).words}")
    say(f"  role     {record.role}" + (f" of trial {record.of}" if record.of is not None else ""))
    say(f"  files    {folder.trial(trial)}")
    if record.protocol:
        say(f"  protocol {', '.join(f'{k} {v}' for k, v in record.protocol.items())}")
    if not standings.comparable(record):
        say("  apart    measured by another protocol than the sweep is now: compared with nothing")
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
    for note in record.notes:
        say(f"  note     {note}")
    if record.log_tail:
        say("\nlast lines of its log\n" + record.log_tail)


def _measured_beside(names: Sequence[str], trial: Trial) -> list[str]:
    """The measures that a trial has values of, beside those named, as far as a line has room."""
    from trials.metrics.measure import Measure

    measured = {name for evaluation in trial.evaluations for name in evaluation.metrics}
    return [
        key
        for key, measure in Measure.all().items()
        if measure.brief and key in measured and key not in names
    ]


# What the listings are made of ------------------------------------------------------------------


def _standings(folder: SweepFolder) -> Standings:
    from sweeper.results import read_standings

    return read_standings(folder)


def _summary(folder: SweepFolder, standings: Standings) -> dict[str, Any]:
    from sweeper.standings.against_base import against_base
    from sweeper.standings.forecast import forecast_of
    from sweeper.standings.progress import OVER, progress_of

    driver, best = folder.driver(), standings.best
    progress = progress_of(standings, driven=driver is not None, asked=folder.asked())
    compared = against_base(standings)
    lost = standings.race.given_up if standings.replicates and standings.race else ()
    return {
        "name": folder.name,
        "state": progress.state,
        "driver": driver,
        "budget": progress.budget,
        "over": progress.over,
        "counts": dict(standings.counts),
        "failed": standings.counts.get("failed", 0),
        "best": best.value if best else None,
        "best_trial": best.trial.number if best else None,
        "base": compared.differences[0].base if compared else None,
        "against_base": compared.as_dict() if compared else None,
        "protocol": dict(standings.protocol),
        "measured_otherwise": [trial.number for trial in standings.measured_otherwise],
        "given_up": {candidate.key: candidate.reason for candidate in lost},
        "symptoms": {str(stop.symptom): stop.trials for stop in standings.stops},
        "steps_saved": {str(stop.symptom): stop.steps for stop in standings.stops if stop.saves},
        "left": None if progress.state in OVER else forecast_of(standings).as_dict(),
        "folder": str(folder.path),
    }
