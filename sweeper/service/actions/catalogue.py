"""All that a sweep file can choose by name, from the registries.

Worked out once for the distributions that are known: those that a file has named since the service
began. It imports no other one, whose code could hold the service up, or end it, for everybody.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sweeper.parts import BASES, base_of
from sweeper.sweepfile.schema import sweep_schema
from trials import offered
from trials import presets as stored


def schema() -> dict[str, Any]:
    """The JSON schema of sweep files."""
    return _schema(_named())


@cache
def _schema(names: tuple[str, ...]) -> dict[str, Any]:
    with offered.known_are(names, remembered=False):
        return sweep_schema()


def parts() -> list[dict[str, str]]:
    """Every part: kind, name, origin and summary."""
    return _parts(_named())


@cache
def _parts(names: tuple[str, ...]) -> list[dict[str, str]]:
    import trials.config  # noqa: F401 - it brings the trainer's kinds
    from trials.origins import origin_of
    from trials.part import bases

    for kind in BASES:  # and these are the service's
        base_of(kind)
    with offered.known_are(names, remembered=False):
        return [
            {"kind": kind, "name": key, "origin": str(origin_of(part)), "summary": part.summary}
            for kind, base in sorted(bases().items())
            for key, part in base.all().items()
        ]


def tricks() -> dict[str, dict[str, Any]]:
    """Every trick with all of its facts, by name."""
    return _tricks(_named())


@cache
def _tricks(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    from trials import catalogue
    from trials.facts import facts_of

    found = {}
    with offered.known_are(names, remembered=False):
        for key in catalogue.tricks():
            facts = facts_of(key)
            knobs = [{"name": name, **about} for name, about in facts["knobs"].items()]
            found[key] = {**facts, "origin": facts["from"], "knobs": knobs}
    return found


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Every preset, by name."""
    return {name: {"name": name, **stored.load(name)} for name in stored.names()}


def _named() -> tuple[str, ...]:
    """The distributions that files have named, in one order."""
    return tuple(sorted(offered.known()))
