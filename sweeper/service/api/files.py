"""Sweep files, looked at before they are submitted; and what they may choose from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query

from sweeper.service.actions import catalogue, checking
from sweeper.service.api.bodies import ANY_TEXT, FILE_BODY, MEDIA_REFUSED, FileText
from sweeper.service.api.routing import API, router
from sweeper.service.api.shapes_files import (
    CheckedShape,
    PartShape,
    PresetShape,
    PreviewShape,
    TrickShape,
)
from sweeper.service.app import CurrentService
from sweeper.service.people.guard import Openings
from sweeper.service.problem import Refusal, fault_of
from trials.problems import nearest

files = router("files")
probing = router("files", "submit")
parts = router("parts")

OPENINGS = Openings(searches=frozenset({f"{API}/sweeps:validate"}))
"""Validating is a POST for the sake of its body: it changes nothing."""


@files.post("/sweeps:validate", openapi_extra=ANY_TEXT, responses=MEDIA_REFUSED)
def validate_file(text: FileText, service: CurrentService) -> CheckedShape:
    """Say everything that is wrong with a sweep file, or how much it would run."""
    checked = checking.validate(service, text)
    problems = [fault_of(problem) for problem in checked.problems]
    return CheckedShape(valid=not problems, problems=problems, **checked.overview)


@probing.post("/sweeps:preview", openapi_extra=FILE_BODY, responses=MEDIA_REFUSED)
def preview_file(
    text: FileText,
    service: CurrentService,
    count: Annotated[int, Query(ge=1, le=100, description="How many configurations.")] = 5,
    probe: Annotated[
        bool, Query(description="Time a short training for a forecast; that takes a while.")
    ] = False,
) -> PreviewShape:
    """Show the first configurations of a sweep file, and a forecast of hours."""
    return PreviewShape.model_validate(checking.preview(service, text, count=count, probe=probe))


@files.get("/schema")
def get_schema() -> dict[str, Any]:
    """Take out the JSON schema of sweep files, for editors; installed parts are in it."""
    return catalogue.schema()


@parts.get("/parts")
def list_parts(
    kind: Annotated[str, Query(max_length=100, description="Only those of this kind.")] = "",
) -> list[PartShape]:
    """List everything that a sweep file can choose by name."""
    return [PartShape(**part) for part in catalogue.parts() if kind in ("", part["kind"])]


@parts.get("/tricks")
def list_tricks() -> list[TrickShape]:
    """List the tricks, with formulas and papers."""
    return [TrickShape.model_validate(trick) for trick in catalogue.tricks().values()]


@parts.get("/tricks/{name:part}")
def get_trick(name: str) -> TrickShape:
    """Look at one trick."""
    return TrickShape.model_validate(_named(name, catalogue.tricks(), "trick"))


@parts.get("/presets")
def list_presets() -> list[PresetShape]:
    """List the presets: configurations of papers."""
    return [PresetShape.model_validate(preset) for preset in catalogue.presets().values()]


@parts.get("/presets/{name:part}")
def get_preset(name: str) -> PresetShape:
    """Look at one preset."""
    return PresetShape.model_validate(_named(name, catalogue.presets(), "preset"))


def install(app: FastAPI) -> None:
    """Add the routes."""
    for added in (files, probing, parts):
        app.include_router(added)


def _named(name: str, among: dict[str, dict[str, Any]], what: str) -> dict[str, Any]:
    if name not in among:
        close = nearest(name, among)
        hint = f"; did you mean {close!r}?" if close else ""
        raise Refusal(404, f"unknown-{what}", f"there is no {what} called {name!r}{hint}")
    return among[name]
