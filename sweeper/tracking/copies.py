"""Which files MLflow has of a sweep, as the outbox knows it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sweeper.tracking.database import Database


def copies_in(outbox: Path) -> dict[int, list[str]]:
    """Number of a run → names of files that it has, or will have; empty where nothing is recorded.

    Raises:
        TrackingError: the outbox cannot be read.
    """
    if not outbox.exists():
        return {}
    found: dict[int, list[str]] = {}
    with closing(Database(outbox)) as database, database.reading() as connection:
        rows = connection.execute("SELECT number, name FROM files WHERE path IS NOT NULL")
        for number, name in rows:
            found.setdefault(number, []).append(name)
    return found
