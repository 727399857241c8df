"""Everything that a sweep file can choose by name: tricks with their formulas, and other parts."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from fastapi import Request
from starlette.responses import Response

from sweeper.service.actions import catalogue
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from trials.catalogue import cost_in_words

router = new_router()


@router.get("/parts")
def list_parts(request: Request, q: str = "") -> Response:
    """The tricks by group, the presets, and the parts by kind."""
    words = q.casefold().split()

    def fits(entry: dict[str, Any]) -> bool:
        text = " ".join(str(value) for value in entry.values()).casefold()
        return all(word in text for word in words)

    tricks = [
        trick | {"cost_in_words": cost_in_words(name)}
        for name, trick in catalogue.tricks().items()
        if fits(trick)
    ]
    parts = [part for part in catalogue.parts() if part["kind"] != "trick" and fits(part)]
    return page(
        request,
        "parts.html",
        q=q,
        groups=[(group, list(of)) for group, of in groupby(tricks, lambda one: one["group"])],
        presets=[preset for preset in catalogue.presets().values() if fits(preset)],
        kinds=[(kind, list(of)) for kind, of in groupby(parts, lambda one: one["kind"])],
    )
