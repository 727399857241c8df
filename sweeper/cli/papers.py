"""Verbs for papers: table, report, export, import-mlflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import HomeOption, ServerOption, SweepName
from sweeper.cli.printing import give, say
from sweeper.cli.source import source_of
from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.wording import plural
from trials.files import atomic_write

if TYPE_CHECKING:
    import pyarrow as pa

    from sweeper.ablation.tables import Table
    from sweeper.sweepfile.model import Sweep


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(table)
    app.command()(report)
    app.command()(export)
    app.command(name="import-mlflow")(import_mlflow)


def table(
    name: Annotated[
        str, typer.Argument(help="A sweep, or a dataset that `export` wrote.", metavar="NAME|FILE")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="markdown, latex, csv, parquet, html, json, or a plug-in."
        ),
    ] = "markdown",
    columns: Annotated[
        str | None, typer.Option(help="Columns, in order, such as cell,value,p.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="Cell to compare the others with.")] = None,
    effects: Annotated[
        bool, typer.Option("--effects", help="Main effects and interactions of a factorial design.")
    ] = False,
    interval: Annotated[
        str,
        typer.Option(
            help="Method for intervals: auto, t, sign_flip, studentised, percentile, bca."
        ),
    ] = "auto",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of rows, from the first.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.  [standard output]")
    ] = None,
    home: HomeOption = None,
    server: ServerOption = None,
) -> None:
    """Make a table for a paper, with intervals and tests."""
    from sweeper.ablation.intervals import METHODS
    from sweeper.ablation.table_format import format_named, rendered
    from sweeper.results import factor_table, main_table

    format_named(format)  # a wrong name is answered before anything is computed
    if interval not in ("auto", *METHODS):
        methods = ", ".join(("auto", *METHODS))
        raise UserError(f"--interval {interval!r}: expected one of {methods}")
    if effects:
        _refuse_beside_effects(columns, reference, interval, limit)
    chosen = [column.strip() for column in columns.split(",")] if columns is not None else None
    sweep, data = _sweep_and_data(name, home, server)
    if sweep is None:
        if effects:
            raise UserError("--effects needs a sweep: a dataset does not record the design")
        made = _of_dataset(name, data, chosen, reference, limit, interval)
    elif effects:
        made = factor_table(sweep, data)
    else:
        made = main_table(
            sweep, data, columns=chosen, reference=reference, limit=limit, interval=interval
        )
    _give(rendered(made, format), out, f"{len(made)} rows", format)


def _refuse_beside_effects(
    columns: str | None, reference: str | None, interval: str, limit: int | None
) -> None:
    given = {
        "--columns": columns is not None,
        "--reference": reference is not None,
        "--interval": interval != "auto",
        "--limit": limit is not None,
    }
    if any(given.values()):
        raise UserError(f"--effects takes no {', '.join(k for k, asked in given.items() if asked)}")


def _of_dataset(
    name: str,
    data: pa.Table,
    columns: list[str] | None,
    reference: str | None,
    limit: int | None,
    interval: str,
) -> Table:
    """The table of a dataset, which knows its objective and no sweep."""
    from sweeper.ablation.dataset import objective_of
    from sweeper.ablation.tables import build_table

    metric, goal = objective_of(data)
    return build_table(
        data,
        metric=metric,
        goal=goal,
        columns=columns,
        reference=reference,
        limit=limit,
        interval=interval,
        name=Path(name).stem,
    )


def _give(content: bytes, out: Path | None, what: str, format: str) -> None:
    """Write a table to its file, or to the terminal where it is text."""
    if out is not None:
        with _writing(out):
            if out.exists() and (not out.is_file() or out.absolute().is_relative_to("/dev")):
                out.write_bytes(content)  # a pipe, a terminal: there is nothing to be replaced
            else:
                atomic_write(out.resolve(), content)
        say(f"{out}: {what}")
        return
    try:
        give(content.decode())
    except UnicodeDecodeError:
        raise UserError(f"{format} is a binary format: name a file with --out") from None


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say in a line that a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error


def _sweep_and_data(
    name: str, home: Path | None, server: str | None
) -> tuple[Sweep | None, pa.Table]:
    if name.endswith(".parquet"):
        from sweeper.ablation.dataset import read_dataset

        return None, read_dataset(Path(name))
    with source_of(home, server) as source:
        return source.dataset(name)


def report(name: SweepName, home: HomeOption = None, server: ServerOption = None) -> None:
    """Write a sweep's report again, even while it runs.

    On a server, the report is the sweep's page, which is always up to date.
    """
    with source_of(home, server) as source:
        say(source.report(name))


def export(
    name: SweepName,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.  [NAME.parquet]")
    ] = None,
    home: HomeOption = None,
    server: ServerOption = None,
) -> None:
    """Write all trials to one Parquet file."""
    from sweeper.ablation.dataset import with_objective, write_dataset

    sweep, data = _sweep_and_data(name, home, server)
    if sweep is not None:
        data = with_objective(data, sweep.objective[0].metric, sweep.objective[0].goal)
    # The name of a sweep may hold dots, and no other sweep's file is to be written over.
    called = Path(name).stem if name.endswith(".parquet") else name
    file = out or Path(f"{called}.parquet")
    with _writing(file):
        write_dataset(data, file)
    say(f"{file}: {len(data)} trials, {len(data.column_names)} columns")


def import_mlflow(
    experiment: Annotated[
        str, typer.Argument(help="Name of an experiment in MLflow.", metavar="EXPERIMENT")
    ],
    mapping: Annotated[Path, typer.Option(help="YAML file that maps the fields of a run.")],
    uri: Annotated[
        str | None, typer.Option(help="Address of MLflow.  [this home's database]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.  [EXPERIMENT.parquet]")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Make a dataset from runs that another program logged.

    The mapping names the fields of a run: `objective: metrics.fid`, `goal: minimize`,
    `cell: tags.method`, `seed: params.seed`, `parameters: {lr: params.learning_rate}`, `protocol:
    {extractor: params.fid_weights}`. `sweeper table FILE.parquet` makes tables of the result.
    """
    from sweeper.ablation.dataset import trial_table, with_objective, write_dataset
    from sweeper.tracking.address import tracking_uri
    from sweeper.tracking.foreign import foreign_records, read_mapping

    here = Home.at(home)
    meanings = read_mapping(mapping)
    records = foreign_records(tracking_uri(here.path, uri), experiment, meanings)
    called = re.sub(r"[^\w.-]+", "_", experiment).strip("._") or "runs"  # on Databricks a path
    file = out or Path(f"{called}.parquet")
    data = with_objective(trial_table(records), meanings.metric, meanings.goal)
    with _writing(file):
        write_dataset(data, file)
    failed = sum(record["state"] == "failed" for record in records)
    say(f"{file}: {len(records)} runs, of which {failed} failed")
    without = sum("cell" not in record for record in records)
    if meanings.cell is not None and without:
        runs = plural(without, "run")
        say(f"{runs} without a value at {meanings.cell}, and in no table of cells")
