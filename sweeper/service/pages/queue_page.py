"""The queue: who waits, why, until about when; and who has which share."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from sweeper.service.app import CurrentService
from sweeper.service.pages.rendering import is_piece, page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.state import sweeps

router = new_router()


@router.get("/queue")
def queue(request: Request, service: CurrentService) -> Response:
    """Those that wait, in their order, then those that run."""
    with service.database.reading() as session:
        entries = [entry for entry in sweeps.entries(session) if not entry.over]
    waiting = [entry for entry in entries if entry.lease.state == "queued"]
    waiting.sort(key=lambda e: (e.lease.place is None, e.lease.place, e.sweep.created))
    running = [entry for entry in entries if entry.lease.state != "queued"]
    template = "queue_tables.html" if is_piece(request) else "queue.html"
    return page(request, template, waiting=waiting, running=running)
