"""All that a sweep file can choose by name, from the registries; worked out once a process."""

from __future__ import annotations

from functools import cache
from typing import Any

from sweeper.parts import BASES, base_of
from sweeper.sweepfile.schema import sweep_schema
from trials import presets as stored
from trials.part import using_installed


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of sweep files."""
    with using_installed():
        return sweep_schema()


@cache
def parts() -> list[dict[str, str]]:
    """Every part: kind, name, origin and summary."""
    import trials.config  # noqa: F401 - it brings the trainer's kinds
    from trials.origins import origin_of
    from trials.part import bases

    for kind in BASES:  # and these are the service's
        base_of(kind)
    with using_installed():
        return [
            {"kind": kind, "name": key, "origin": str(origin_of(part)), "summary": part.summary}
            for kind, base in sorted(bases().items())
            for key, part in base.all().items()
        ]


@cache
def tricks() -> dict[str, dict[str, Any]]:
    """Every trick with all of its facts, by name."""
    from trials import catalogue
    from trials.facts import facts_of

    found = {}
    with using_installed():
        for key in catalogue.tricks():
            facts = facts_of(key)
            knobs = [{"name": name, **about} for name, about in facts["knobs"].items()]
            found[key] = {**facts, "origin": facts["from"], "knobs": knobs}
    return found


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Every preset, by name."""
    return {name: {"name": name, **stored.load(name)} for name in stored.names()}
