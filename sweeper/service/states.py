"""What a sweep can be, and what can be wanted of it: words of the tables, the API and clients.

Imports nothing, so that a client knows them without what a server needs.
"""

from __future__ import annotations

from typing import Literal

Wanted = Literal["run", "pause", "stop", "cancel"]
"""What its owner wants of a sweep."""

SweepState = Literal[
    "queued",
    "starting",
    "running",
    "paused",
    "finished",
    "incomplete",
    "stopped",
    "cancelled",
    "failed",
]
"""What a sweep is doing, as the dispatcher last saw it."""

ENDS: frozenset[str] = frozenset({"finished", "incomplete", "stopped", "cancelled", "failed"})
"""States in which a sweep stays until somebody wants it to go on."""

NO_SPACE = "no_space"
"""The outcome of a driver that met with a full disk."""

Priority = Literal["low", "normal", "high", "urgent"]
