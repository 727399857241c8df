"""Everything that a sweep file can choose by name: tricks with their formulas, and other parts."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import Any

from fastapi import Request
from starlette.responses import Response

from sweeper.parts import BASES, base_of
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router

router = new_router()


@router.get("/parts")
def parts(request: Request, q: str = "") -> Response:
    """The tricks by group, the presets, and the parts by kind."""
    words = q.casefold().split()

    def fits(entry: dict[str, Any]) -> bool:
        text = " ".join(str(value) for value in entry.values()).casefold()
        return all(word in text for word in words)

    tricks = [trick for trick in _tricks() if fits(trick)]
    return page(
        request,
        "parts.html",
        q=q,
        groups=[(group, list(of)) for group, of in groupby(tricks, lambda one: one["group"])],
        presets=[preset for preset in _presets() if fits(preset)],
        kinds=[
            (kind, [part for part in of if fits(part)])
            for kind, of in _parts().items()
            if any(map(fits, of))
        ],
    )


@cache
def _tricks() -> list[dict[str, Any]]:
    from trials import catalogue
    from trials.facts import facts_of

    return [
        facts_of(key) | {"cost_in_words": catalogue.cost_in_words(key)}
        for key in catalogue.tricks()
    ]


@cache
def _presets() -> list[dict[str, Any]]:
    from trials import presets

    return [{"name": name, **presets.load(name)} for name in presets.names()]


@cache
def _parts() -> dict[str, list[dict[str, Any]]]:
    """Kind → its parts, without the tricks, which have a list of their own."""
    import trials.config  # noqa: F401 - it brings the trainer's kinds
    from trials.origins import origin_of
    from trials.part import bases

    for kind in BASES:  # and these are the service's
        base_of(kind)
    parts: dict[str, list[dict[str, Any]]] = {
        kind: [
            {"name": key, "from": str(origin_of(part)), "summary": part.summary}
            for key, part in base.all().items()
        ]
        for kind, base in sorted(bases().items())
        if kind != "trick"
    }
    return parts
