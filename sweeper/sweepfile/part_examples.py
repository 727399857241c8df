"""An example of each part for the reference page: two lines of a sweep file, from its schema."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sweeper.sweepfile.schema import Schema

_GIVEN: Mapping[str, Any] = {"path": "~/data", "size": 64, "weights": "~/features.pt"}
"""Of keys that must be given, what an example gives."""


def example_of(
    path: str, tag: str, name: str, settings: Mapping[str, Schema], required: Any
) -> str:
    """Lines that choose a part: its required settings, and one that differs from its default."""
    chosen = {tag: name}
    chosen |= {key: _GIVEN[key] for key in required if key != tag}
    own = [key for key in settings if key not in chosen and _another(settings[key]) is not None]
    if own:
        chosen[own[-1]] = _another(settings[own[-1]])
    inner = ", ".join(f"{key}: {_yaml(value)}" for key, value in chosen.items())
    first, _, last = path.rpartition(".")
    return f"{first}:\n  {last}: {{{inner}}}" if first else f"{path}:\n  {{{inner}}}"


def _another(schema: Schema) -> Any:
    """A plausible value that is not the default: the next choice, or twice a number; else None."""
    default, branches = schema.get("default"), (schema, *schema.get("anyOf", ()))
    if isinstance(default, bool):
        return not default
    choices = [choice for branch in branches for choice in branch.get("enum", ())]
    if default in choices:
        at = choices.index(default)
        return next(iter(choices[at + 1 :] or reversed(choices[:at])), None)
    if choices:
        return choices[0]
    if isinstance(default, int | float):
        limits = (branch.get("maximum", branch.get("exclusiveMaximum")) for branch in branches)
        double, limit = 2 * default, next((one for one in limits if one is not None), math.inf)
        return double if default < double < limit else None
    return None


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
