"""The pages become part of the application."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from sweeper.report.assets import SORTING, STYLE, asset
from sweeper.service.app import Service
from sweeper.service.pages import (
    asking,
    catalogue_page,
    change_page,
    cluster_pages,
    compare_page,
    enqueue_page,
    entrance,
    new_page,
    notices_page,
    people_pages,
    sweep_list,
    sweep_page,
    trial_page,
    trials_page,
)
from sweeper.service.pages.routing import show_problems
from sweeper.service.people.guard import Openings

OPENINGS = Openings(searches=frozenset({"/logout", "/new/check"}))
"""A reader signs out too, and may have a file checked: neither changes anything of anybody."""

STATIC = Path(__file__).with_name("static")

PAGES = (
    entrance,
    sweep_list,
    change_page,
    enqueue_page,
    trials_page,
    trial_page,
    sweep_page,
    asking,
    compare_page,
    new_page,
    notices_page,
    cluster_pages,
    people_pages,
    catalogue_page,
)
"""The files whose `router` has a page; of two whose addresses overlap the narrower one first."""


class Files(StaticFiles):
    """The pages' own files: a browser asks whether its copy is still the newest."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        answer: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        answer.headers["cache-control"] = "no-cache"
        return answer


def install(app: FastAPI, service: Service) -> None:
    """Add the pages and their files."""
    app.add_api_route("/static/report.css", _style, include_in_schema=False)
    app.add_api_route("/static/sortable.js", _sorting, include_in_schema=False)
    app.mount("/static", Files(directory=STATIC), name="static")
    for module in PAGES:
        app.include_router(module.router)
    show_problems(app)


def _style() -> Response:
    return _of_the_report(STYLE, "text/css")


def _sorting() -> Response:
    return _of_the_report(SORTING, "text/javascript")


def _of_the_report(name: str, kind: str) -> Response:
    return Response(asset(name), media_type=kind, headers={"cache-control": "no-cache"})
