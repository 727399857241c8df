"""What a sweep has shown: tables, importances, the report and its figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sweeper.ablation.dataset import dataset_as_bytes, with_objective
from sweeper.ablation.intervals import METHODS
from sweeper.ablation.search_statistics import Importance, too_few_to_tell
from sweeper.ablation.table_format import TableFormat, format_named, rendered
from sweeper.ablation.tables import Table
from sweeper.bucket.usage import PATIENCE, Published, published_by
from sweeper.disk import Disk, disk_of
from sweeper.errors import UserError
from sweeper.home import SweepFolder
from sweeper.report import ReportPaths
from sweeper.results import factor_table, main_table, table_of
from sweeper.search.importances import Method
from sweeper.service.actions.children import VerbFailed, run_verb
from sweeper.service.app import Service
from sweeper.service.problem import Refusal
from sweeper.service.readings import Reading
from sweeper.standings.one_setting import left_out, of_one_setting

FRESH = 60.0
"""Seconds that a report of a study in a database, which does not say when it was written, holds."""


DISK_HOLDS = 10.0
"""Seconds that what a sweep takes on disk holds: thousands of files are looked at for it."""


@dataclass(frozen=True)
class TableAsked:
    """What `sweeper table` takes. None is its own default."""

    columns: tuple[str, ...] | None = None
    reference: str | None = None
    effects: bool = False
    interval: str = "auto"
    limit: int | None = None


@dataclass(frozen=True)
class TableFile:
    """A table as a file."""

    name: str
    content: bytes


def table_file(service: Service, reading: Reading, asked: TableAsked, format: str) -> TableFile:
    """A table of a sweep in the named format, as `sweeper table --out` writes it.

    Raises:
        UserError: there is no such format, or interval.
        TableRefused: the runs support no such table.
        Refusal: effects are asked for together with what they do not take.
    """
    chosen: TableFormat = format_named(format)
    if asked.interval not in ("auto", *METHODS):
        there = ", ".join(("auto", *METHODS))
        raise UserError(f"there is no interval {asked.interval!r}; there are: {there}")
    key = ("table", reading.folder.name, reading.version, asked, format)

    def make() -> TableFile:
        table = _table(reading, asked)
        return TableFile(f"{table.name}{chosen.extension}", rendered(table, format))

    return service.memo.of(key, make)


def importances(
    service: Service, reading: Reading, method: Method
) -> tuple[Mapping[str, Importance], str]:
    """The importance of each searched parameter; none, and why, where it cannot be told."""
    name = reading.folder.name
    found: Mapping[str, Importance] = {}
    if (reader := service.readings.reader(name) if reading.folder.exists() else None) is not None:
        key = ("importances", name, reading.version, method)
        found = service.memo.of(key, lambda: reader.importances(method))
    return found, "" if found else _why_no_importances(reading)


def report_file(service: Service, reading: Reading, *, fresh: bool) -> Path:
    """The page of a sweep's report. Where there is none yet, or a `fresh` one is asked for and the
    study has gone on, it is written again first.

    Raises:
        Refusal: the sweep has not begun, or the report cannot be written.
    """
    folder = reading.folder
    page = ReportPaths.within(folder.report).html
    if not folder.exists():
        raise Refusal(404, "no-report", f"{folder.name} has not begun: there is no report of it")

    def needed() -> bool:
        return not page.exists() or (fresh and _is_old(folder, page))

    if needed():
        try:
            run_verb(service.settings.home, "report", folder.name, needed=needed)
        except VerbFailed as error:
            raise Refusal(503, "unavailable", f"no report could be written: {error}") from error
    return page


def figures_of(folder: SweepFolder) -> list[str]:
    """The names of the figures that the last report has left."""
    return sorted(file.name for file in folder.report.glob("*.png"))


def figure_file(folder: SweepFolder, name: str) -> Path:
    """The file of one of them.

    Raises:
        Refusal: there is none; status 404.
    """
    if name not in figures_of(folder):
        raise Refusal(404, "unknown-figure", f"{folder.name} has no figure {name!r}")
    return folder.report / name


def disk(service: Service, name: str) -> Disk:
    """What the sweep of that name takes on disk, a moment ago."""
    folder = service.settings.home.sweep(name)
    key = ("disk", name, time.monotonic() // DISK_HOLDS)
    return service.memo.of(key, lambda: disk_of(folder))


def published(service: Service, name: str, patience: float = PATIENCE) -> Published | None:
    """What its trials have published in a bucket, as counted a while ago where that takes longer
    than so many seconds; None where they publish nowhere."""
    folder = service.settings.home.sweep(name)
    key = ("published", name, patience, time.monotonic() // DISK_HOLDS)
    return service.memo.of(key, lambda: published_by(folder, patience))


def dataset_bytes(reading: Reading) -> bytes:
    """All trials as one Parquet file, as `sweeper export` writes it."""
    goal = reading.standings.sweep.objective[0]
    return dataset_as_bytes(with_objective(table_of(reading.standings), goal.metric, goal.goal))


def _table(reading: Reading, asked: TableAsked) -> Table:
    sweep, data = reading.standings.sweep, table_of(reading.standings)
    if not asked.effects:
        return main_table(
            sweep,
            data,
            columns=asked.columns,
            reference=asked.reference,
            limit=asked.limit,
            interval=asked.interval,
        )
    if asked != TableAsked(effects=True):
        raise UserError("a table of effects takes no columns, reference, interval or limit")
    return factor_table(sweep, data)


def _why_no_importances(reading: Reading) -> str:
    standings = reading.standings
    if standings.sweep.is_ablation:
        return "it is an ablation: its table of effects says more"
    few = too_few_to_tell(len(of_one_setting(standings)), len(standings.sweep.parameters))
    few = few or "all trials have the same value, or share no parameter"
    return "; ".join(filter(None, (few, left_out(standings))))


def _is_old(folder: SweepFolder, page: Path) -> bool:
    made = page.stat().st_mtime
    try:
        return folder.study_journal.stat().st_mtime > made
    except FileNotFoundError:
        return time.time() - made > FRESH
