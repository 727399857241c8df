"""Verbs that look: ls, status, top, show. They read the study and change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.ablation.blame import SCHEDULER
from sweeper.cli.leaderboard import (
    cell_standings,
    on_fresh_seeds,
    placed,
    print_leaderboard,
    ranked,
)
from sweeper.cli.options import HomeOption, JsonOption, SweepName, print_json
from sweeper.cli.printing import number, print_table, setting, spread
from sweeper.errors import SweeperError, UserError
from sweeper.home import Home, SweepFolder

if TYPE_CHECKING:
    from sweeper.sweepfile.model import Sweep
    from sweeper.trial import Trial


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command(name="ls")(ls)
    app.command()(status)
    app.command()(top)
    app.command()(show)


def ls(home: HomeOption = None, json: JsonOption = False) -> int:
    """The sweeps of this home.

    The exit status is 1 where one of them cannot be read.
    """
    here = Home.at(home)
    listing, failed = [], []
    for name in here.names():
        try:
            listing.append(_summary(here.sweep(name)))
        except (SweeperError, OSError) as error:
            failed.append(f"{name} cannot be read: {error}")
    if json:
        print_json(listing)
    elif listing:
        _print_listing(listing)
    elif not failed:
        typer.echo(f"no sweeps in {here.path} yet; `sweeper run FILE` starts one")
    for message in failed:
        typer.echo(f"sweeper: {message}", err=True)
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
    folder = Home.at(home).existing(name)
    sweep, records = read_sweep(folder)
    summary = _summary(folder, sweep, records) | {"given_up": _given_up(sweep, records)}
    running = [record for record in records if record.state == "running"]
    if json:
        print_json({**summary, "running_trials": [record.as_dict() for record in running]})
        return
    driver = f", driven by process {summary['driver']}" if summary["driver"] else ""
    typer.echo(f"{name}: {summary['state']}{driver}")
    # The ledger knows only that they had begun: without a driver nobody runs them.
    going_on = "running" if summary["driver"] is not None else "cut off"
    words = {"running": going_on}
    counts = ", ".join(
        f"{count} {words.get(state, state)}" for state, count in summary["counts"].items()
    )
    typer.echo(
        f"  trials   {counts or 'none yet'}; {summary['over']} of {summary['budget'] or '?'} over"
    )
    metric = sweep.objective[0].metric
    if sweep.is_ablation:
        for cell in cell_standings(sweep, records)[:1]:
            typer.echo(f"  best     {metric} {spread(cell.values[0])}, {cell.cell}")
    elif summary["best"] is not None:
        typer.echo(
            f"  best     {metric} {number(summary['best'])} by trial {summary['best_trial']}"
            + _against(summary["best"], summary["base"])
        )
    for trial, reason in summary["given_up"].items():
        typer.echo(f"  given up {trial}: {reason}")
    for symptom, count in summary["symptoms"].items():
        saved = summary["steps_saved"].get(symptom)
        typer.echo(
            f"  stopped  {count} × {symptom}" + (f", {saved:,} steps saved" if saved else "")
        )
    for record in running:
        curve = record.curve(metric)
        seen = f"step {record.steps}"
        seen += f", {metric} {number(curve[max(curve)])}" if curve else ""
        typer.echo(f"  {going_on:<8} {record.name}  {seen}")


def top(
    name: SweepName,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 10,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The best completed trials of a sweep, or the best cells of an ablation."""
    folder = Home.at(home).existing(name)
    sweep, records = read_sweep(folder)
    if json and sweep.is_ablation:
        print_json([one.as_dict(sweep) for one in cell_standings(sweep, records)[:count]])
        return
    best = placed(sweep, records)[:count]
    if json:
        fresh = on_fresh_seeds(records)
        print_json([{**one.as_dict(), "fresh_seeds": fresh.get(one.number, [])} for one in best])
        return
    print_leaderboard(sweep, records, count)


def show(
    name: SweepName,
    trial: Annotated[int, typer.Argument(help="Number of a trial.", metavar="TRIAL")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """One trial: settings, evaluations, ending, files."""
    folder = Home.at(home).existing(name)
    sweep, records = read_sweep(folder)
    record = next((record for record in records if record.number == trial), None)
    if record is None:
        raise UserError(f"{name} has no trial {trial}; it has {len(records)}, counted from 0")
    if json:
        print_json({**record.as_dict(), "folder": folder.trial(trial)})
        return
    ending = f" ({record.symptom}: {record.reason})" if record.symptom else ""
    typer.echo(f"trial {record.name} of {name}: {record.state}{ending}")
    typer.echo(
        f"  role     {record.role}" + (f" of trial {record.of}" if record.of is not None else "")
    )
    typer.echo(f"  files    {folder.trial(trial)}")
    if record.protocol:
        typer.echo(f"  protocol {', '.join(f'{k} {v}' for k, v in record.protocol.items())}")
    typer.echo("  searched")
    for path, value in record.values.items():
        typer.echo(f"    {path:<32} {setting(value)}")
    names = [o.metric for o in sweep.objective]
    extra = [m for m in ("fid", "kid", "precision", "recall") if m not in names]
    columns = [*names, *extra]
    rows = [
        (one.step, *[number(one.metrics.get(column)) for column in columns])
        for one in record.evaluations
    ]
    if rows:
        typer.echo("")
        print_table(("step", *columns), rows)
    if record.final is not None:
        values = ", ".join(f"{name} {number(v)}" for name, v in record.final.metrics.items())
        typer.echo(f"  final    {values}")
        typer.echo(f"           the generator of step {record.final.step}, on fresh noise")
    for symptom in record.symptoms:
        note = f": {symptom.note}" if symptom.note else ""
        typer.echo(f"  seen     {symptom.name} at step {symptom.step}{note}")
    if record.log_tail:
        typer.echo("\nlast lines of its log\n" + record.log_tail)


# What the listings are made of ------------------------------------------------------------------


def read_sweep(folder: SweepFolder) -> tuple[Sweep, list[Trial]]:
    """A sweep and all its trials, from its folder."""
    from sweeper.results import records_of, sweep_of

    sweep = sweep_of(folder)
    return sweep, records_of(folder, sweep)


def _summary(
    folder: SweepFolder, sweep: Sweep | None = None, records: list[Trial] | None = None
) -> dict[str, Any]:
    if sweep is None or records is None:
        sweep, records = read_sweep(folder)
    driver = folder.driver()
    order = ranked(sweep, records)
    base = next((r for r in records if r.role == "base" and r.objective is not None), None)
    counts = Counter(record.state for record in records)
    budget, over = _progress(folder, sweep, records)
    asked = folder.asked()
    if driver is not None:
        state = {"pause": "paused", "stop": "draining", "cancel": "ending"}.get(
            asked or "", "running"
        )
    else:
        done = budget is not None and over >= budget
        state = "finished" if done and not counts["running"] else "interrupted"
    return {
        "name": folder.name,
        "state": state,
        "driver": driver,
        "budget": budget,
        "over": over,
        "counts": dict(counts),
        "failed": counts["failed"],
        "best": order[0].objective[0] if order and order[0].objective else None,
        "best_trial": order[0].number if order else None,
        "base": base.objective[0] if base and base.objective else None,
        "symptoms": dict(Counter(r.symptom for r in records if r.symptom)),
        "steps_saved": _steps_saved(records),
        "folder": str(folder.path),
    }


def _progress(
    folder: SweepFolder, sweep: Sweep, records: Sequence[Trial]
) -> tuple[int | None, int]:
    """(trials that there will be before any confirmation, those that are over)."""
    from sweeper.results import planned_of

    if not sweep.is_ablation:
        over = sum(record.over for record in records if record.role != "replicate")
        if not sweep.search.part.ends:
            return sweep.limits.trials, over
        return planned_of(folder, sweep) or sweep.limits.trials, over
    # A run whose worker died is held again: the pair counts once.
    pairs = {(record.cell, record.values.get("seed")) for record in records if record.over}
    return planned_of(folder, sweep), len(pairs)


def _given_up(sweep: Sweep, records: Sequence[Trial]) -> dict[str, str]:
    """Configurations that lost the race on fresh seeds before its end, and why."""
    if sweep.seeds.confirm_top < 2 or not any(record.role == "replicate" for record in records):
        return {}
    from sweeper.search.confirming import race  # imports SciPy, half a second

    return {one.key: one.reason for one in race(records, sweep).given_up}


def _steps_saved(records: Sequence[Trial]) -> dict[str, int]:
    """Steps that stopped trials did not train, by the scheduler or symptom that stopped them."""
    from trials.health import Sign

    saved: Counter[str] = Counter()
    default = None
    for record in records:
        if not record.over or (record.symptom != SCHEDULER and record.symptom not in Sign.all()):
            continue
        planned = record.config.get("steps", default)
        if planned is None:
            from trials.config import default_at  # imports torch

            planned = default = default_at(record.config, "steps")
        saved[str(record.symptom)] += max(0, planned - record.steps)
    return dict(saved)


def _against(best: float, base: float | None) -> str:
    if base is None or base == 0:
        return ""
    return f" (base configuration {number(base)}, {100 * (best - base) / abs(base):+.0f}%)"
