"""The end of a sweep, straight through the rooms.

    study → trials → standings → dataset → tables → report → MLflow

Each gets what the one before it has made, and none is asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeper.ablation.table_format import format_named, rendered
from sweeper.ablation.tables import Table
from sweeper.bucket.copies import is_drawn_from, trial_folder
from sweeper.home import SweepFolder
from sweeper.report import ReportPaths, write_report
from sweeper.report.mlflow_tables import evidence
from sweeper.results import finished_tables, source_of, write_dataset_of
from sweeper.scheduling.recording.events import SweepState
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.search.reader import StudyReader
from sweeper.standings import Standings
from sweeper.sweepfile.model import Sweep
from trials.files import atomic_write

TABLE_FORMATS = ("latex", "markdown")
"""In which each table is written beside the report; `sweeper table` has the others."""


@dataclass(frozen=True)
class Results:
    """What the end of a sweep has made."""

    standings: Standings
    tables: tuple[Table, ...]
    report: ReportPaths


def conclude(
    sweep: Sweep,
    folder: SweepFolder,
    study: StudyReader,
    *,
    state: SweepState | None = None,
    recorder: Recorder | None = None,
) -> Results:
    """Write what has come of a sweep: study → trials → standings → dataset → tables → report →
    MLflow.

    `state` is how the run ended; without it the report says how far the sweep is. Without a
    `recorder` MLflow is told nothing.

    Raises:
        OSError: a file cannot be written.
        LedgerError: the study cannot be read.
        BucketError: the winner's generator cannot be had from where it was published.
    """
    source = source_of(folder)
    standings = study.standings()
    dataset = write_dataset_of(folder, standings, source)
    tables = tuple(finished_tables(sweep, dataset))
    importances, fanova = study.importances(), study.importances("fanova")
    report = write_report(folder, standings, importances, tables, fanova=fanova, state=state)
    files = {f"report/{path.name}": path for path in report.all}
    files |= {f"tables/{path.name}": path for path in _write_tables(folder, tables)}
    if recorder is not None:
        columns = {table.name: table.raw().to_pydict() for table in tables if len(table)}
        told = columns | evidence(standings, importances, fanova)
        recorder.concluded(files, told, standings)
        over = state in ("finished", "incomplete") and sweep.keep.generators != "none"
        if over and standings.best is not None:
            winner = standings.best.trial
            trial_folder(folder, winner.number, is_drawn_from)
            recorder.winner_is(winner)
    return Results(standings, tables, report)


def _write_tables(folder: SweepFolder, tables: Sequence[Table]) -> list[Path]:
    """Each table in each of TABLE_FORMATS, in the report's folder."""
    written = []
    for table in tables:
        for form in TABLE_FORMATS:
            path = folder.report / f"{table.name}{format_named(form).extension}"
            atomic_write(path, rendered(table, form))
            written.append(path)
    return written
