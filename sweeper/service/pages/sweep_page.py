"""One sweep: its page, its sections one by one, its charts, its tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from sweeper.ablation.table_format import format_named, rendered
from sweeper.errors import SweeperError
from sweeper.service.actions.looking import entry_named, reading_of
from sweeper.service.actions.results import disk, published
from sweeper.service.api.caching import check_tag
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages import charts, sections
from sweeper.service.pages.mlflow import mlflow_of
from sweeper.service.pages.rendering import as_json, is_piece, page, streamed
from sweeper.service.pages.routing import router as new_router
from sweeper.service.pages.sections import Section
from sweeper.service.people.permission import CurrentCaller, may_change
from sweeper.service.problem import Refusal
from sweeper.service.readings import Reading
from sweeper.service.state.sweeps import Entry

router = new_router()

_log = logging.getLogger(__name__)

PAGES_WAIT = 0.3
"""Seconds for a bucket to be listed: what takes longer is there when the page is asked for again.
"""


class Shown:
    """What the page asks for while it is being sent: the study is read when its turn comes."""

    def __init__(self, service: Service, entry: Entry) -> None:
        self._service = service
        self._entry = entry
        self.problem = ""
        """Why the study cannot be read, once it was tried."""

    def reading(self) -> Reading | None:
        """What the study says; None where it cannot be read."""
        try:
            return reading_of(self._service, self._entry)
        except SweeperError as error:
            self.problem = str(error)
            return None

    def sections(self, reading: Reading) -> Iterator[tuple[Section, Markup | None]]:
        """Those that have something to show, or may have while the sweep goes on; without content
        where they are made later."""
        for section in sections.sections_of(reading.standings):
            content = None if section.late else _made(self._service, section, reading)
            if content is None or content.strip():
                yield section, content
            elif not self._entry.over:
                yield section, sections.LATER

    def headline(self, reading: Reading) -> Markup:
        """Verdict and numbers."""
        return _made(self._service, sections.HEADLINE, reading)


@router.get("/sweeps/{name}")
def sweep_page(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    part: str = "",
) -> Response:
    """The whole page, sent as it is made; or with `part` one section of it."""
    entry = entry_named(service, name)
    about: dict[str, Any] = {
        "entry": entry,
        "mine": may_change(caller, entry),
        "mlflow": mlflow_of(service, entry.sweep.name),
        "disk": disk(service, entry.sweep.name),
        "bucket": published(service, entry.sweep.name, PAGES_WAIT),
    }
    if part == "about":
        return page(request, "sweep/about.html", **about)
    if not part:
        return streamed(request, "sweep.html", shown=Shown(service, entry), **about)
    reading = reading_of(service, entry)
    headers = {}
    if is_piece(request):  # a whole page says who looks at it, and is no other reader's
        headers = check_tag(request, reading.version) | {"cache-control": "no-store"}
    section = sections.by_key(reading.standings).get(part)
    if section is None:
        raise Refusal(404, "not-found", f"The page of a sweep has no section {part!r}.")
    content = _made(service, section, reading) or sections.LATER
    template = "piece.html" if is_piece(request) else "sweep/section.html"
    answer = page(request, template, content=content, title=section.title, **about)
    answer.headers.update(headers)
    return answer


@router.get("/sweeps/{name}/charts/steps")
def steps(
    request: Request, service: CurrentService, name: SweepName, objective: int = 0
) -> Response:
    """The lines of an objective over steps."""
    reading = reading_of(service, entry_named(service, name))
    headers = check_tag(request, reading.version)
    if not 0 <= objective < len(reading.standings.metrics):
        raise Refusal(404, "not-found", f"{name} has no objective {objective}.")
    return as_json(charts.over_steps(reading.standings, objective), headers)


@router.get("/sweeps/{name}/charts/coordinates")
def coordinates(request: Request, service: CurrentService, name: SweepName) -> Response:
    """The rows of the parallel coordinates."""
    reading = reading_of(service, entry_named(service, name))
    headers = check_tag(request, reading.version)
    return as_json(charts.coordinates(reading.standings), headers)


@router.get("/sweeps/{name}/tables/{table}")
def table(
    service: CurrentService, name: SweepName, table: str, format: str = "markdown"
) -> Response:
    """A table of the page in another format, to copy."""
    reading = reading_of(service, entry_named(service, name))
    found = next((one for one in sections.tables_of(reading) if one.name == table), None)
    if found is None:
        raise Refusal(404, "unknown-table", f"{name} has no table {table!r} yet.")
    format_named(format)  # refused by name before anything is made
    return Response(rendered(found, format), media_type="text/plain; charset=utf-8")


def _made(service: Service, section: Section, reading: Reading) -> Markup:
    """A section's content, made once for everybody who looks at this state of the study."""
    key = ("section", reading.folder.name, reading.version, section.key)
    try:
        return service.memo.of(key, lambda: section.make(reading))
    except Exception:
        # The page is on its way already, and the other sections are worth reading.
        _log.exception("section %s of %s cannot be made", section.key, reading.folder.name)
        return sections.notice(f"{section.title} cannot be shown; the server's log says why.")
