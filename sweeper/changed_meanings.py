"""What the settings of a sweep mean now that they did not mean when it began.

A version may read the same file otherwise than an earlier one, as where a trick comes to follow its
authors' code: parts and presets say so in words, one text a change (`reread`). A study keeps how
many of them were known when its sweep last ran, and who goes on with an older one is told once.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.foreign_parts import names_in
from sweeper.sweepfile.model import Sweep
from trials import presets
from trials.part import everything, using


def known(sweep: Sweep) -> dict[str, int]:
    """Part or preset that the sweep names → how often its settings have come to be read otherwise,
    as the study keeps it."""
    return {name: len(changes) for name, changes in _changes(sweep).items()}


def reread(sweep: Sweep, before: Mapping[str, int]) -> str:
    """What is read otherwise than when `known` gave `before`, in a sentence; empty: nothing."""
    told = [
        f"{name} ({'; '.join(changes[before.get(name, 0) :])})"
        for name, changes in _changes(sweep).items()
        if len(changes) > before.get(name, 0)
    ]
    if not told:
        return ""
    return (
        f"this version reads otherwise than the one that began {sweep.name}: {', '.join(told)}; "
        "trials from before may not compare with those that follow, so finish it with that "
        "version, or begin it anew under another name"
    )


def _changes(sweep: Sweep) -> dict[str, tuple[str, ...]]:
    named = set(names_in([sweep.to_dict(), presets.expand(sweep.base, look=False)[0]]))
    with using({"parts": sweep.parts}):
        parts = [part for part in everything() if part.key in named]
    changes = {part.key: part.reread for part in parts if part.reread}
    preset = sweep.base.get("preset")
    if preset in presets.names() and (own := presets.load(preset).get("reread")):
        changes[f"preset {preset}"] = tuple(own)
    return dict(sorted(changes.items()))
