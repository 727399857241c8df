"""Verbs for papers: ablate, table, report, export, import-mlflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import (
    AdoptOption,
    HomeOption,
    JsonOption,
    SetOption,
    SweepName,
    print_json,
)
from sweeper.errors import UserError
from sweeper.home import Home

if TYPE_CHECKING:
    import pyarrow as pa

    from sweeper.ablation.design import Design
    from sweeper.sweepfile.model import Sweep
    from sweeper.trial import Trial

ALIASES = 4
"""Aliases of an effect that a preview shows: in a Plackett–Burman design each has dozens."""


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(ablate)
    app.command()(table)
    app.command()(report)
    app.command()(export)
    app.command(name="import-mlflow")(import_mlflow)


def ablate(
    what: Annotated[str, typer.Argument(help="A sweep file or a sweep.", metavar="FILE|NAME")],
    design: Annotated[str | None, typer.Option(help="The design.  [leave_one_out]")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of every cell.  [5]")] = None,
    source: Annotated[
        str, typer.Option("--from", help="Of a sweep: best, or the number of a trial.")
    ] = "best",
    preview: Annotated[bool, typer.Option("--preview", help="Show the cells, run none.")] = False,
    overrides: SetOption = None,
    adopt: AdoptOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Run an ablation: a file's, or one around a sweep's best trial.

    Around a trial, the tricks that are on in it are the factors. Run it again with more seeds to
    add only those.
    """
    from sweeper.cli.around import around_trial
    from sweeper.sweepfile import load_sweep

    extra = [*(overrides or [])]
    extra += [f"ablation.design={design}"] if design else []
    extra += [f"ablation.seeds={seeds}"] if seeds else []
    path: Path | None = Path(what)
    if path is not None and path.is_file():
        sweep = load_sweep(path, extra)
        if not sweep.is_ablation:
            sweep = load_sweep(path, [*extra, "ablation.design=leave_one_out"])
    else:
        path, sweep = None, around_trial(what, source, extra, Home.at(home))
    if preview:
        _preview(sweep, Home.at(home), json)
        return 0
    return _run(sweep, home, json, path, adopt)


def _preview(sweep: Sweep, home: Home, json: bool) -> None:
    from sweeper.ablation.preview import preview as preview_of
    from sweeper.results import records_of
    from sweeper.search.ablation_trials import design_of, seeds_of

    design, seeds = design_of(sweep), list(seeds_of(sweep))
    folder = home.sweep(sweep.name)
    records = records_of(folder, sweep) if folder.exists() else []
    keys = {cell.label: cell.key for cell in design.cells}
    done = {
        (keys[record.cell], int(record.values["seed"]))
        for record in records
        if record.over and record.cell in keys
    }
    plan = preview_of(design, seeds, done)
    seconds = _seconds_of_a_run(sweep, design, records, home) if plan.runs else None
    if json:
        print_json(
            {
                "name": sweep.name,
                "design": design.kind,
                "cells": [
                    {"label": c.label, "settings": dict(c.settings), "impossible": c.impossible}
                    for c in design.cells
                ],
                "seeds": seeds,
                "runs": len(plan.runs),
                "done": plan.already_done,
                "aliases": design.describe_aliases(),
                "detectable": plan.detectable,
                "seconds_per_run": seconds,
            }
        )
        return
    resolution = f", resolution {design.resolution}" if design.resolution else ""
    typer.echo(f"{sweep.name}: {design.kind.replace('_', ' ')}{resolution}")
    for cell in design.cells:
        mark = " (reference)" if cell.label == design.reference else ""
        typer.echo(f"  {cell.label}{mark}")
        if cell.impossible:
            typer.echo(f"      impossible: {cell.impossible}")
    for line in design.describe_aliases(most=ALIASES):
        typer.echo(f"  aliased: {line}")
    done_text = f", {plan.already_done} done" if plan.already_done else ""
    typer.echo(f"{len(plan.runs)} runs on {len(seeds)} seeds{done_text}")
    if seconds is not None:
        from sweeper.cli.checking import duration

        parallel = sweep.limits.parallel
        rounds = -(-len(plan.runs) // parallel)
        typer.echo(
            f"a run takes about {duration(seconds)} on this machine; all of them "
            f"{duration(seconds * rounds)}, {parallel} at a time"
        )
    if plan.detectable is not None:
        unit = "the paired difference" if design.reference else "an effect over the seeds"
        typer.echo(
            f"finds effects of {plan.detectable:.2g} deviations of {unit} "
            f"with 80 % power ({plan.test}, Holm over {plan.comparisons})"
        )


def _seconds_of_a_run(
    sweep: Sweep, design: Design, records: Sequence[Trial], home: Home
) -> float | None:
    """The median of the runs there are; without any, from some steps of the reference."""
    from statistics import median

    seconds = [r.seconds for r in records if r.state == "completed" and r.seconds is not None]
    if seconds:
        return median(seconds)
    if not design.possible:
        return None
    from sweeper.cli.checking import forecast_of
    from sweeper.sweepfile.space import apply

    cell = next((c for c in design.possible if c.label == design.reference), design.possible[0])
    base = apply(sweep.base, cell.settings)
    return forecast_of(replace(sweep, base=base), 1, 0, home.cache)["seconds_per_trial"]


def _run(sweep: Sweep, home: HomeOption, json: bool, path: Path | None, adopt: bool) -> int:
    from sweeper.api import run as run_sweep
    from sweeper.cli.live import view

    with view(sweep, quiet=json) as listener:
        result = run_sweep(sweep, home=home, listener=listener, source=path, adopt=adopt)
    if json:
        print_json(result.as_dict())
        return result.exit_code
    from sweeper.ablation.table_format import rendered

    for made in result.tables:
        typer.echo("\n" + rendered(made, "markdown").decode())
    typer.echo(f"report   {result.report}")
    if result.message:
        typer.echo(result.message)
    return result.exit_code


def table(
    name: Annotated[str, typer.Argument(help="A sweep, or a dataset.", metavar="NAME|FILE")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="markdown, latex, csv, parquet, html, json.")
    ] = "markdown",
    columns: Annotated[str | None, typer.Option(help="Columns, comma-separated.")] = None,
    reference: Annotated[str | None, typer.Option(help="Cell to compare with.")] = None,
    effects: Annotated[bool, typer.Option("--effects", help="Effects of a factorial.")] = False,
    interval: Annotated[
        str, typer.Option(help="auto, t, sign_flip, studentised, percentile, bca.")
    ] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="First rows only.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write.  [standard output]")] = None,
    home: HomeOption = None,
) -> None:
    """A table for a paper, with intervals and corrected tests."""
    from sweeper.ablation.dataset import objective_of
    from sweeper.ablation.intervals import METHODS
    from sweeper.ablation.table_format import format_named, rendered
    from sweeper.ablation.tables import build_table
    from sweeper.results import factor_table, main_table

    format_named(format)  # a wrong name is answered before anything is computed
    if interval not in ("auto", *METHODS):
        methods = ", ".join(("auto", *METHODS))
        raise UserError(f"there is no interval {interval!r}; there are: {methods}")
    given = {
        "--columns": columns is not None,
        "--reference": reference is not None,
        "--interval": interval != "auto",
        "--limit": limit is not None,
    }
    if effects and any(given.values()):
        raise UserError(f"--effects takes no {', '.join(k for k, asked in given.items() if asked)}")
    chosen = [column.strip() for column in columns.split(",")] if columns else None
    sweep, data = _sweep_and_data(name, Home.at(home))
    if sweep is None:
        if effects:
            raise UserError("--effects needs a sweep: a dataset does not know its design")
        metric, goal = objective_of(data)
        made = build_table(
            data,
            metric=metric,
            goal=goal,
            columns=chosen,
            reference=reference,
            limit=limit,
            interval=interval,
            name=Path(name).stem,
        )
    elif effects:
        made = factor_table(sweep, data)
    else:
        made = main_table(
            sweep, data, columns=chosen, reference=reference, limit=limit, interval=interval
        )
    _give(rendered(made, format), out, f"{len(made)} rows", text=format != "parquet")


def _give(content: bytes, out: Path | None, what: str, *, text: bool) -> None:
    """Write a table to its file, or to the terminal where it is text."""
    if out is not None:
        with _writing(out):
            out.write_bytes(content)
        typer.echo(f"{out}: {what}")
    elif text:
        typer.echo(content.decode())
    else:
        raise UserError("parquet is no text: name a file with --out")


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say in a line that a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error


def _sweep_and_data(name: str, home: Home) -> tuple[Sweep | None, pa.Table]:
    from sweeper.ablation.dataset import read_dataset
    from sweeper.results import dataset_of, sweep_of

    if name.endswith(".parquet"):
        return None, read_dataset(Path(name))
    folder = home.existing(name)
    sweep = sweep_of(folder)
    return sweep, dataset_of(folder, sweep)


def report(name: SweepName, home: HomeOption = None) -> None:
    """Write a sweep's report again, also while it runs."""
    from sweeper.api import write_report_of

    folder = Home.at(home).existing(name)
    typer.echo(str(write_report_of(folder).html))


def export(
    name: SweepName,
    out: Annotated[Path | None, typer.Option(help="File.  [NAME.parquet]")] = None,
    home: HomeOption = None,
) -> None:
    """All trials as one Parquet file."""
    from sweeper.ablation.dataset import with_objective, write_dataset

    sweep, data = _sweep_and_data(name, Home.at(home))
    if sweep is not None:
        data = with_objective(data, sweep.objective[0].metric, sweep.objective[0].goal)
    file = out or Path(f"{Path(name).stem}.parquet")
    with _writing(file):
        write_dataset(data, file)
    typer.echo(f"{file}: {len(data)} trials, {len(data.column_names)} columns")


def import_mlflow(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment.")],
    mapping: Annotated[Path, typer.Option(help="YAML file: which columns mean what.")],
    uri: Annotated[str | None, typer.Option(help="MLflow's store.  [this home's]")] = None,
    out: Annotated[Path | None, typer.Option(help="File.  [EXPERIMENT.parquet]")] = None,
    home: HomeOption = None,
) -> None:
    """Make a dataset of runs that something else logged.

    The mapping names where things stand in a run: `objective: metrics.fid`, `goal: minimize`,
    `cell: tags.method`, `seed: params.seed`, `parameters: {lr: params.learning_rate}`, `protocol:
    {extractor: params.fid_weights}`. `sweeper table FILE.parquet` makes tables of the result.
    """
    from sweeper.ablation.dataset import trial_table, with_objective, write_dataset
    from sweeper.tracking.address import tracking_uri
    from sweeper.tracking.foreign import foreign_records, read_mapping

    here = Home.at(home)
    meanings = read_mapping(mapping)
    records = foreign_records(uri or tracking_uri(here.path), experiment, meanings)
    file = out or Path(f"{experiment}.parquet")
    data = with_objective(trial_table(records), meanings.metric, meanings.goal)
    with _writing(file):
        write_dataset(data, file)
    failed = sum(record["state"] == "failed" for record in records)
    typer.echo(f"{file}: {len(records)} runs, of which {failed} failed")
