"""Who leads a sweep, and what comes of it: tables, importances, the report and its figures."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

from fastapi import FastAPI, Path, Query, Response
from fastapi.responses import FileResponse

from sweeper.search.importances import Method
from sweeper.service.actions import results as actions
from sweeper.service.actions.results import TableAsked
from sweeper.service.api.caching import FRESH, VersionedReading, versioned
from sweeper.service.api.routing import NamedEntry, NamedReading, Responses, router
from sweeper.service.api.shapes_results import (
    BucketShape,
    DiskShape,
    FiguresShape,
    ImportancesShape,
    StandingsShape,
)
from sweeper.service.app import CurrentService

told = versioned("results")
results = router("results")

_MEDIA = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".tex": "application/x-tex",
}
_OTHER = "application/octet-stream"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILES: Responses = {200: {"content": dict.fromkeys((*_MEDIA.values(), _OTHER), _BINARY)}}
_PARQUET: Responses = {200: {"content": {_MEDIA[".parquet"]: _BINARY}}}
_PNG: Responses = {200: {"content": {"image/png": _BINARY}}}
_HTML: Responses = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}

SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The report quotes names and messages of anybody, and needs no script."""


@told.get("/sweeps/{name:part}/standings")
def get_standings(
    reading: VersionedReading,
    limit: Annotated[int, Query(ge=0, le=500, description="How many trials, from the best.")] = 10,
) -> StandingsShape:
    """Say who leads, whether it beats the base configuration, and what ended trials early."""
    return StandingsShape.of(reading, limit)


@told.get("/sweeps/{name:part}/table", response_class=Response, responses=_FILES)
def get_table(
    reading: VersionedReading,
    service: CurrentService,
    format: Annotated[
        str,
        Query(
            max_length=50,
            description="markdown, latex, csv, parquet, html, json, or a part.",
            examples=["latex"],
        ),
    ] = "markdown",
    columns: Annotated[
        list[str] | None, Query(max_length=50, description="Columns in their order.")
    ] = None,
    reference: Annotated[
        str | None, Query(max_length=500, description="The cell that others are compared with.")
    ] = None,
    effects: Annotated[
        bool, Query(description="Main effects and interactions of a factorial design.")
    ] = False,
    interval: Annotated[
        str,
        Query(max_length=50, description="auto, t, sign_flip, studentised, percentile or bca."),
    ] = "auto",
    limit: Annotated[
        int | None, Query(ge=1, le=1_000_000, description="How many rows, from the first.")
    ] = None,
) -> Response:
    """Make a table for a paper, with intervals and tests: the file that `sweeper table` makes."""
    chosen = tuple(columns) if columns else None
    asked = TableAsked(chosen, reference, effects, interval, limit)
    made = actions.table_file(service, reading, asked, format)
    kind = _MEDIA.get(PurePath(made.name).suffix, _OTHER)
    return Response(made.content, media_type=kind, headers=_attached(made.name))


@told.get("/sweeps/{name:part}/dataset", response_class=Response, responses=_PARQUET)
def get_dataset(reading: VersionedReading) -> Response:
    """Take out all trials as one Parquet file, as `sweeper export` does."""
    headers = _attached(f"{reading.folder.name}.parquet")
    content = actions.dataset_bytes(reading)
    return Response(content, media_type=_MEDIA[".parquet"], headers=headers)


@told.get("/sweeps/{name:part}/importances")
def get_importances(
    reading: VersionedReading,
    service: CurrentService,
    method: Annotated[
        Method,
        Query(description="`ped_anova`: what sets good trials apart; `fanova`: what explains all."),
    ] = "ped_anova",
) -> ImportancesShape:
    """Say how much each searched parameter matters for the first objective."""
    found, reason = actions.importances(service, reading, method)
    return ImportancesShape.of(method, found, reason)


@results.get("/sweeps/{name:part}/report.html", response_class=Response, responses=_HTML)
def get_report(
    reading: NamedReading,
    service: CurrentService,
    fresh: Annotated[
        bool, Query(description="Write it again where trials have come since; takes seconds.")
    ] = False,
) -> FileResponse:
    """Take out the report: one page with everything in it."""
    page = actions.report_file(service, reading, fresh=fresh)
    headers = {"content-security-policy": SANDBOX, "cache-control": FRESH}
    return FileResponse(page, media_type="text/html", headers=headers)


@results.get("/sweeps/{name:part}/disk")
def get_disk(entry: NamedEntry, service: CurrentService) -> DiskShape:
    """Say what it takes on the server's disk and in its bucket, and for what."""
    disk = actions.disk(service, entry.sweep.name)
    published = actions.published(service, entry.sweep.name)
    bucket = None if published is None else BucketShape.model_validate(published)
    return DiskShape.model_validate(disk).model_copy(update={"bucket": bucket})


@results.get("/sweeps/{name:part}/figures")
def list_figures(reading: NamedReading) -> FiguresShape:
    """List the figures of the last report."""
    return FiguresShape(figures=actions.figures_of(reading.folder))


@results.get("/sweeps/{name:part}/figures/{figure}", response_class=Response, responses=_PNG)
def get_figure(
    reading: NamedReading,
    figure: Annotated[str, Path(max_length=200, examples=["importances.png"])],
) -> FileResponse:
    """Take out a figure of the last report."""
    return FileResponse(
        actions.figure_file(reading.folder, figure),
        media_type="image/png",
        headers={"cache-control": FRESH},
        filename=f"{reading.folder.name}-{figure}",
        content_disposition_type="inline",
    )


def install(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(told)
    app.include_router(results)


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
