"""The queue: who waits, why, until about when; and the machines that it is for."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from sweeper.errors import SweeperError
from sweeper.service.actions import cluster
from sweeper.service.app import CurrentService
from sweeper.service.pages.rendering import is_piece, page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.problem import Refusal

router = new_router()


@router.get("/queue")
def queue(request: Request, service: CurrentService) -> Response:
    """Those that wait, in their order, then those that run."""
    entries = cluster.queue(service)
    template = "queue_tables.html" if is_piece(request) else "queue.html"
    return page(
        request,
        template,
        waiting=[entry for entry in entries if entry.lease.state == "queued"],
        running=[entry for entry in entries if entry.lease.state != "queued"],
    )


@router.get("/machines")
def machines(request: Request, service: CurrentService) -> Response:
    """What there is, what is free of it, and which sweeps run there."""
    problem = ""
    try:
        found, names = cluster.machines(service)
    except Refusal as error:
        found, names, problem = (), {}, error.details.title
    except SweeperError as error:
        found, names, problem = (), {}, str(error)
    template = "machines_table.html" if is_piece(request) else "machines.html"
    return page(request, template, machines=found, names=names, problem=problem)
