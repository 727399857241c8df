"""Writing what MLflow should show: the rows of the outbox, each made the same however often said.

Every function writes in the transaction that it finds the connection in.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Collection, Mapping
from typing import Any

from sweeper.tracking.limits import safe_key
from sweeper.tracking.names import SWEEP
from sweeper.tracking.run_row import BLANK, COLUMNS, fold


def change_run(connection: sqlite3.Connection, number: int, said: Mapping[str, Any]) -> None:
    """Fold what was said into the run's row; its revision grows if the row is another then."""
    columns = ", ".join(COLUMNS)
    row = connection.execute(f"SELECT {columns} FROM runs WHERE number = ?", (number,)).fetchone()
    old = dict(zip(COLUMNS, row, strict=True)) if row else dict(BLANK)
    new = fold(number, old, said)
    if row is not None and new == old:
        return
    assignments = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
    places = ", ".join("?" for _ in COLUMNS)
    connection.execute(
        f"INSERT INTO runs (number, {columns}) VALUES (?, {places}) "
        f"ON CONFLICT (number) DO UPDATE SET {assignments}, revision = revision + 1",
        (number, *(new[column] for column in COLUMNS)),
    )


def add_metrics(
    connection: sqlite3.Connection,
    number: int,
    step: int,
    metrics: Mapping[str, float | None],
    seconds: float,
) -> None:
    """The values of one step; those that the step has already stand. None is no value."""
    at = milliseconds(seconds)
    connection.executemany(
        "INSERT OR IGNORE INTO metrics (number, key, step, value, time) VALUES (?, ?, ?, ?, ?)",
        [
            (number, safe_key(key), step, kept_value(value), at)
            for key, value in metrics.items()
            if value is not None
        ],
    )


def put_metrics(
    connection: sqlite3.Connection,
    number: int,
    step: int,
    metrics: Mapping[str, float],
    seconds: float,
) -> None:
    """The values of one step in the place of those that it has. MLflow keeps both, and shows the
    later one."""
    at = milliseconds(seconds)
    connection.executemany(
        "INSERT INTO metrics (number, key, step, value, time) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (number, key, step) DO UPDATE SET value = excluded.value, "
        "time = excluded.time, sent = 0 WHERE value IS NOT excluded.value",
        [(number, safe_key(key), step, kept_value(value), at) for key, value in metrics.items()],
    )


def put_file(
    connection: sqlite3.Connection,
    number: int,
    name: str,
    version: str,
    *,
    path: str | None = None,
    content: bytes | None = None,
) -> None:
    """A file of the run, by its path or its content; sent again only where `version` is another.

    A path is kept as `Database.kept` gives it.
    """
    connection.execute(
        "INSERT INTO files (number, name, path, content, version) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (number, name) DO UPDATE SET path = excluded.path, "
        "content = excluded.content, version = excluded.version, "
        "revision = revision + (version IS NOT excluded.version) "
        "WHERE version IS NOT excluded.version OR path IS NOT excluded.path",
        (number, safe_key(name), path, content, version),
    )


def remove_files(connection: sqlite3.Connection, number: int, names: Collection[str]) -> None:
    """Files that the run is to have no longer: they are taken away from it, where it has them."""
    connection.executemany(
        "UPDATE files SET path = NULL, content = NULL, version = '', revision = revision + 1 "
        "WHERE number = ? AND name = ? AND (path IS NOT NULL OR content IS NOT NULL)",
        [(number, safe_key(name)) for name in names],
    )


def put_model(connection: sqlite3.Connection, number: int, name: str, folder: str) -> None:
    """A generator of the run, in the folder of its trial."""
    connection.execute(
        "INSERT INTO models (number, name, folder) VALUES (?, ?, ?) "
        "ON CONFLICT (number, name) DO UPDATE SET folder = excluded.folder "
        "WHERE folder IS NOT excluded.folder",
        (number, name, folder),
    )


def forget_models(connection: sqlite3.Connection, number: int) -> None:
    """Generators of the run that MLflow lacks: they are gone, and it will not have them."""
    connection.execute("DELETE FROM models WHERE number = ? AND sent < revision", (number,))


def interrupt(
    connection: sqlite3.Connection, keep: Collection[int] = (), *, sweep: bool = False
) -> list[int]:
    """Count running trials as interrupted, all but `keep`; with `sweep`, the sweep's run too.

    Returns their numbers.
    """
    rows = connection.execute("SELECT number FROM runs WHERE announced = 1 AND state = 'running'")
    stopped = [row[0] for row in rows if row[0] not in keep and (sweep or row[0] != SWEEP)]
    connection.executemany(
        "UPDATE runs SET state = 'interrupted', ended = ?, revision = revision + 1 "
        "WHERE number = ?",
        [(milliseconds(time.time()), number) for number in stopped],
    )
    return stopped


def kept_value(value: float) -> float | None:
    """A metric's value as the outbox keeps it; None is NaN, which SQLite lacks."""
    return None if math.isnan(value) else float(value)


def milliseconds(seconds: float) -> int:
    """A time in unix seconds as the outbox and MLflow keep it."""
    return round(seconds * 1000)
