"""How many files are read at once."""

from __future__ import annotations

import os


def readers() -> int:
    """As many as this process may use cores, at most sixteen."""
    if hasattr(os, "sched_getaffinity"):
        return min(16, len(os.sched_getaffinity(0)))
    return min(16, os.cpu_count() or 1)
