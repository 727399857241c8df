"""The trials of a sweep as a dataset, and the tables that are made of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from sweeper.ablation.dataset import DatasetError, read_dataset, rows_of, trial_table, write_dataset
from sweeper.ablation.design_kind import DesignKind
from sweeper.ablation.effect_table import effect_table
from sweeper.ablation.factorial import factorial_effects
from sweeper.ablation.matrix import kind_of_rows, outcomes_from_table
from sweeper.ablation.reference_columns import REFERENCE_COLUMNS
from sweeper.ablation.tables import Table, TableRefused, build_table
from sweeper.home import SweepFolder
from sweeper.permissions import private
from sweeper.search.address import STORAGE_VARIABLE
from sweeper.search.reader import read_study
from sweeper.standings import Standings, standings_of
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial

ROBUST = ("cell", "runs", "failed", "iqm", "median", "improvement", "p_worst")
"""Columns of the table beside an ablation's means: robust measures, with failures ranked worst."""

UNTESTED = ("cell", "toggles", "settings", "value", "failed")
"""Columns of an ablation's table while no test is possible, for want of seeds or of a reference."""

_SOURCE = b"sweeper.source"
"""The word of a dataset's file that says what it was made of."""

_TAIL = 4096
"""Bytes at the end of a journal by which it is known beside its length."""

LONGEST = 50
"""Rows of the table of a search's trials that is written without being asked for."""


def records_of(folder: SweepFolder, sweep: Sweep) -> list[Trial]:
    """All trials of a sweep from its study, while it runs too."""
    return list(standings_in(folder, sweep).trials)


def standings_in(folder: SweepFolder, sweep: Sweep) -> Standings:
    """The standings of a sweep as it is given; without any trial where it was never started."""
    study = read_study(sweep, folder)
    return standings_of(sweep, ()) if study is None else study.standings()


def dataset_file(folder: SweepFolder) -> Path:
    """Where the columnar copy of the study lies."""
    return folder.path / "trials.parquet"


def dataset_of(folder: SweepFolder, sweep: Sweep) -> pa.Table:
    """The columnar copy of the study, brought up to date where the study has gone on."""
    file, source = dataset_file(folder), source_of(folder)
    with contextlib.suppress(DatasetError, OSError):  # damaged, or of an older version
        table = read_dataset(file)
        if source and (table.schema.metadata or {}).get(_SOURCE) == source:
            return table
    table = table_of(standings_in(folder, sweep))
    # It is only a copy, and the home may be another's.
    with contextlib.suppress(OSError), private(folder.path.parent):
        write_dataset(_with_source(table, source), file)
    return table


def write_dataset_of(folder: SweepFolder, standings: Standings, source: bytes = b"") -> pa.Table:
    """Bring the columnar copy up to date with these trials and their places. `source` is what
    `source_of` said before they were read."""
    table = table_of(standings)
    write_dataset(_with_source(table, source), dataset_file(folder))
    return table


def source_of(folder: SweepFolder) -> bytes:
    """What a dataset made now is made of: the length of the journal with its last bytes, and the
    spec; empty where no dataset is served twice, since the study is in a database."""
    if os.environ.get(STORAGE_VARIABLE):
        return b""
    try:
        with folder.study_journal.open("rb") as journal:
            length = journal.seek(0, os.SEEK_END)
            journal.seek(max(0, length - _TAIL))
            content = journal.read(_TAIL) + folder.spec_json.read_bytes()
    except OSError:
        return b""
    return f"{length}:{hashlib.sha256(content).hexdigest()}".encode()


def _with_source(table: pa.Table, source: bytes) -> pa.Table:
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _SOURCE: source})


def table_of(standings: Standings) -> pa.Table:
    """Trials of a sweep as one columnar table, a row each in order of their numbers."""
    metric, goal = standings.metrics[0], standings.goal
    protocol = standings.protocol
    return trial_table(rows_of(standings.trials, metric, goal, standings.ranks, protocol))


def main_table(
    sweep: Sweep,
    data: pa.Table,
    *,
    columns: Sequence[str] | None = None,
    reference: str | None = None,
    limit: int | None = None,
    interval: str = "auto",
) -> Table:
    """The table a paper would show of this sweep: an ablation's cells, the confirmed
    configurations of a search, or its trials.

    Raises:
        TableRefused: these trials allow no such table; the message says why.
    """
    goal, second = sweep.objective[0], sweep.objective[-1]
    arrow = "↓" if second.goal == "minimize" else "↑"
    design = None
    if sweep.is_ablation and kind_of_rows(data) == "cells":
        from sweeper.search.ablation_trials import design_of

        design = design_of(sweep)
    return build_table(
        data,
        goal=goal.goal,
        metric=goal.metric,
        second=f"{second.metric} {arrow}",
        name=sweep.name,
        reference=reference,
        design=design,
        columns=columns,
        limit=limit,
        interval=interval,
    )


def factor_table(sweep: Sweep, data: pa.Table, *, ranked: bool = False) -> Table:
    """Main effects and two-way interactions of a factorial ablation; with `ranked`, in shares of
    rank with failures ranked worst.

    Raises:
        TableRefused: the sweep is no factorial, or its runs are too few.
    """
    from sweeper.search.ablation_trials import design_of

    if not sweep.is_factorial:
        factorials = [key for key, kind in DesignKind.all().items() if kind.factorial]
        raise TableRefused(
            f"{sweep.name} is not a factorial design: effects need one of {', '.join(factorials)}"
        )
    design, goal = design_of(sweep), sweep.objective[0]
    outcomes = outcomes_from_table(data, goal.goal, kind="cells")
    try:
        effects = factorial_effects(design, outcomes, ranked=ranked)
    except ValueError as error:
        raise TableRefused(str(error)) from error
    metric = f"the rank (0 to 1) of {goal.metric}, failures worst," if ranked else goal.metric
    name = f"{sweep.name}-effects{'-ranked' if ranked else ''}"
    return effect_table(effects, design, metric=metric, goal=goal.goal, name=name)


def finished_tables(sweep: Sweep, data: pa.Table) -> list[Table]:
    """Every table that the trials so far support; none is better than a wrong one.

    Of an ablation, beside the main table, one of robust measures with failures ranked worst; of a
    factorial, its effects too, and where runs failed, the effects on ranks.
    """
    limit = LONGEST if kind_of_rows(data) == "trials" else None
    makers: list[Callable[[], Table]] = [lambda: main_table(sweep, data, limit=limit)]
    if sweep.is_ablation:
        makers = [lambda: _cell_table(sweep, data)]
        makers.append(lambda: _robust_table(sweep, data))
    if sweep.is_factorial:
        makers.append(lambda: factor_table(sweep, data))
        if outcomes_from_table(data, sweep.objective[0].goal, kind="cells").failed.any():
            makers.append(lambda: factor_table(sweep, data, ranked=True))
    tables = []
    for make in makers:
        # Mixed protocols, or too few runs yet: `sweeper table` says which.
        with contextlib.suppress(TableRefused):
            tables.append(make())
    return tables


def _cell_table(sweep: Sweep, data: pa.Table) -> Table:
    """An ablation's main table; without tests where its runs allow none, or none yet."""
    try:
        return main_table(sweep, data)
    except TableRefused:
        return main_table(sweep, data, columns=UNTESTED)


def _robust_table(sweep: Sweep, data: pa.Table) -> Table:
    """Robust measures of an ablation's cells; without a reference, those that need none."""
    factorial = sweep.is_factorial
    columns = [key for key in ROBUST if not (factorial and key in REFERENCE_COLUMNS)]
    return replace(main_table(sweep, data, columns=columns), name=f"{sweep.name}-robust")
