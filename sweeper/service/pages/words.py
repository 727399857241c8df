"""How pages say times, numbers and states."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from sweeper.service.state.sweeps import Entry
from sweeper.wording import (
    NONE,
    duration,
    measure,
    number,
    plain,
    plural,
    sentence,
    setting,
    short_path,
    visible,
)

STATE_NOTES: Mapping[str, str] = {
    "queued": "waiting",
    "starting": "running",
    "running": "running",
    "paused": "waiting",
    "finished": "completed",
    "incomplete": "pruned",
    "stopped": "pruned",
    "cancelled": "pruned",
    "failed": "failed",
}
"""State of a sweep → the state of trials whose colour it has."""


def moment(seconds: float | None) -> str:
    """`2026-03-04 05:06` in UTC; a dash for none."""
    if seconds is None:
        return NONE
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def iso(seconds: float | None) -> str:
    """For the `datetime` of a <time>, which a script turns into the reader's own zone."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def ago(seconds: float | None) -> str:
    """`3 min 20 s ago`, `in 2 h 5 min`."""
    if seconds is None:
        return NONE
    passed = time.time() - seconds
    if abs(passed) < 1:
        return "now"
    return f"{duration(passed)} ago" if passed > 0 else f"in {duration(-passed)}"


def hours(seconds: float | None) -> str:
    """Seconds of a GPU as hours of one: `0.25 h`."""
    return NONE if seconds is None else f"{brief(seconds / 3600)} h"


def brief(value: float) -> str:
    """At most three figures: `2`, `0.25`, `17.3`."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def state_in_words(entry: Entry) -> str:
    """What a sweep is doing, and what was asked of it that it has not done yet."""
    state = entry.lease.state
    wishes = {"pause": "pausing", "stop": "stopping", "cancel": "being cancelled"}
    wish = wishes.get(entry.sweep.wanted)
    return wish if wish and state in ("starting", "running") else state


def best_in_words(entry: Entry) -> str:
    """The winner so far, with what fresh seeds say of it."""
    best = entry.driver.best if entry.driver else {}
    return str(best.get("words") or (number(best["value"]) if best.get("value") else NONE))


_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def with_papers(text: str) -> Markup:
    """The text, its arXiv numbers as links."""
    link = r'<a href="https://arxiv.org/abs/\1" rel="noreferrer">arXiv:\1</a>'
    return Markup(_ARXIV.sub(link, str(escape(visible(text)))))


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "best": best_in_words,
    "brief": brief,
    "duration": duration,
    "hours": hours,
    "iso": iso,
    "measure": measure,
    "moment": moment,
    "number": number,
    "plain": plain,
    "plural": plural,
    "papers": with_papers,
    "sentence": sentence,
    "setting": setting,
    "short_path": short_path,
    "state": state_in_words,
    "state_colour": lambda entry: STATE_NOTES.get(entry.lease.state, "waiting"),
}
