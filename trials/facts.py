"""Tricks as plain values: what the terminal and the pages tell of them."""

from __future__ import annotations

from typing import Any

from trials import catalogue
from trials.origins import origin_of


def facts_of(key: str) -> dict[str, Any]:
    """All that a reader may want to know of a trick, as plain values."""
    trick = catalogue.tricks()[key]
    ranges = trick.search_ranges()
    conflicts = dict(trick.conflicts)
    for other, kind in catalogue.tricks().items():
        if key in kind.conflicts:
            conflicts[other] = kind.conflicts[key]
        elif other != key and trick.slot and kind.slot == trick.slot:
            conflicts[other] = f"only one {trick.slot.replace('_', ' ')} can be on"
    return {
        "name": key,
        "group": trick.group,
        "path": catalogue.path_of(key),
        "from": str(origin_of(trick)),
        "summary": trick.summary,
        "formula": trick.formula,
        "paper": trick.paper,
        "knobs": {
            knob: {
                "default": field.get_default(call_default_factory=True),
                "meaning": field.description,
                "search": ranges.get(knob),
            }
            for knob, field in trick.Config.model_fields.items()
        },
        "requires": list(trick.requires),
        "conflicts": conflicts,
        "differences": list(trick.differences),
        "cost": catalogue.costs().get(key),
        "description": trick.description(),
    }
