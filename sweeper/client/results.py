"""Who leads a sweep, and what comes of it: tables, importances, the report and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from sweeper.client.group import Group, sweep_path
from sweeper.service.api.shapes_results import (
    DiskShape,
    FiguresShape,
    ImportancesShape,
    StandingsShape,
)

REPORT_TIMEOUT = 180.0
"""Seconds for a report to be written."""


class Results(Group):
    """What the sweeps of a server have shown. Each method raises `UnknownSweep` where there is none
    of the name."""

    def standings(self, name: str, *, limit: int = 10) -> StandingsShape:
        """Who leads, and whether it beats the base configuration."""
        return self._http.get(f"{sweep_path(name)}/standings", StandingsShape, limit=limit)

    def table(
        self,
        name: str,
        format: str = "markdown",
        *,
        columns: Sequence[str] = (),
        reference: str | None = None,
        effects: bool = False,
        interval: str = "auto",
        limit: int | None = None,
    ) -> bytes:
        """A table for a paper, with intervals and tests, as `sweeper table` makes it.

        Raises:
            UserError: the runs support no such table.
        """
        return self._http.content(
            f"{sweep_path(name)}/table",
            format=format,
            columns=[*columns],
            reference=reference,
            effects=effects,
            interval=interval,
            limit=limit,
        )

    def dataset(self, name: str) -> bytes:
        """All trials as one Parquet file."""
        return self._http.content(f"{sweep_path(name)}/dataset")

    def importances(self, name: str, method: str = "ped_anova") -> ImportancesShape:
        """How much each searched parameter matters, by `ped_anova` or `fanova`."""
        return self._http.get(f"{sweep_path(name)}/importances", ImportancesShape, method=method)

    def disk(self, name: str) -> DiskShape:
        """What it takes on the server's disk and in its bucket, and for what."""
        return self._http.get(f"{sweep_path(name)}/disk", DiskShape)

    def report(self, name: str, *, fresh: bool = False) -> bytes:
        """The report as one HTML page; a `fresh` one takes seconds."""
        path = f"{sweep_path(name)}/report.html"
        return self._http.content(path, timeout=REPORT_TIMEOUT, fresh=fresh)

    def figures(self, name: str) -> list[str]:
        """The names of the figures of the last report."""
        return self._http.get(f"{sweep_path(name)}/figures", FiguresShape).figures

    def figure(self, name: str, figure: str) -> bytes:
        """A figure of the last report, as PNG."""
        return self._http.content(f"{sweep_path(name)}/figures/{quote(figure, safe='')}")
