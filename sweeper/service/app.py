"""The application: one address for pages, API, MLflow and Optuna's dashboard, behind one guard."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.types import ASGIApp

from sweeper.service import problem
from sweeper.service.events import Hub
from sweeper.service.heads import Heads
from sweeper.service.machines import Machines
from sweeper.service.memo import Answers, Memo
from sweeper.service.people.guard import Guard, Openings
from sweeper.service.readings import Readings
from sweeper.service.settings import ServiceSettings
from sweeper.service.state.database import Database
from sweeper.service.state.unwritten import Unwritten


@dataclass
class Service:
    """What every route can use."""

    settings: ServiceSettings
    database: Database
    ending: threading.Event = field(default_factory=threading.Event)
    """The process is about to end: an answer without an end (a stream of events) finds one."""
    readings: Readings = field(init=False)
    hub: Hub = field(init=False)
    lookups: Unwritten = field(init=False)
    memo: Memo = field(default_factory=Memo)
    answers: Answers = field(default_factory=Answers)
    streams: Counter[int] = field(default_factory=Counter)
    """How many answers without an end are open, by the person who listens."""
    tested: dict[str, float] = field(default_factory=dict)
    """When a word to try was last sent, by subscription, for those of the last minute."""
    machines: Machines | None = None
    """What the cluster has; None where nobody has said which one it is."""
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What is done, last first, when the application ends."""

    def __post_init__(self) -> None:
        self.readings = Readings(self.settings.home)
        self.hub = Hub(self.database, self.ending)
        self.lookups = Unwritten(self.database)


async def service_of(request: Request) -> Service:
    """The service that answers this request. Asynchronous, so that no thread is asked for it."""
    service: Service = request.app.state.service
    return service


CurrentService = Annotated[Service, Depends(service_of)]


@contextlib.asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    yield
    service: Service = app.state.service
    for close in reversed(service.closing):
        await close()


Install = Callable[[FastAPI, Service], None]
"""Adds routes to the application."""


def application(
    service: Service,
    install: Sequence[Install] = (),
    openings: Openings = Openings(),  # noqa: B008 - it is frozen
) -> ASGIApp:
    """The whole of it, for uvicorn. Each of `install` adds routes; the guard alone opens any, and
    lets more through where `openings` says so."""
    app = FastAPI(
        title="GAN sweeper",
        lifespan=_running,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # the API brings its own
    )
    app.state.service = service
    problem.install(app)
    app.add_api_route("/health", _health, methods=["GET"], include_in_schema=False)
    from sweeper.service.api import install as api  # they import this file
    from sweeper.service.pages import install as pages
    from sweeper.service.pages.routing import seen

    for add in (api.install, pages.install, *install):
        add(app, service)
    openings = api.OPENINGS | pages.OPENINGS | openings
    answered = Heads(app, openings.foreign)
    return Guard(answered, service.settings, service.database, service.lookups, seen, openings)


async def _health() -> dict[str, str]:
    """That the server is up; it says nothing else to strangers."""
    return {"status": "up"}
