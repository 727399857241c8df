"""How what is said about a run becomes the row that the outbox keeps of it. Pure functions.

    waiting for its start ──start──▶ running ──end──▶ completed, pruned, failed   (final)
                                      ▲    └──end──▶ interrupted, retrying, moved ◀──reopen── any
                                      └──start───────┘

A fact may be said twice and a start may come after its end: the row is the same in the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sweeper.tracking.limits import MAX_TAG, cut
from sweeper.tracking.names import CHANGED_PREFIX, FINAL, SWEEP

COLUMNS = (
    "announced",
    "parent",
    "name",
    "state",
    "started",
    "ended",
    "params",
    "tags",
    "end_tags",
    "note",
    "end_note",
)
BLANK: dict[str, Any] = {
    "announced": 0,
    "parent": None,
    "name": "",
    "state": "running",
    "started": None,
    "ended": None,
    "params": "{}",
    "tags": "{}",
    "end_tags": "{}",
    "note": "",
    "end_note": "",
}


def fold(number: int, old: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The run's row after `said`. A pure function; the same in whatever order things are said."""
    new = dict(old)
    over = number != SWEEP and old["state"] in FINAL
    if "started" in said:
        params = json.loads(old["params"])
        changed = {
            CHANGED_PREFIX + key: cut(value, MAX_TAG)
            for key, value in said["params"].items()
            if not _says_the_same(params.get(key, value), value)
        }
        new["params"] = _text(said["params"] | params)
        new["tags"] = _text(json.loads(old["tags"]) | said["tags"] | changed)
        new["note"] = said["note"] or old["note"]
        if not old["announced"]:
            new.update(announced=1, name=said["name"], parent=said["parent"])
            new["started"] = said["started"]
        if old["announced"] and not over:
            new.update(state="running", ended=None, end_tags="{}", end_note="")
    elif "state" in said:
        if not over or said.get("reopened"):
            new.update(state=said["state"], ended=said["ended"])
            new["end_tags"] = _text(said["end_tags"])
            new["end_note"] = said["end_note"]
    else:
        new["tags"] = _text(json.loads(old["tags"]) | said["tags"])
    return new


def _says_the_same(one: str, other: str) -> bool:
    """Whether a parameter is unchanged; an earlier version spelt truth values in small letters."""
    return one == other or (other in ("True", "False") and one == other.lower())


def _text(mapping: Mapping[str, str]) -> str:
    return json.dumps(mapping, sort_keys=True, ensure_ascii=False)
