"""The outbox as a file: one SQLite database that the driver fills and the writer empties.

It holds what MLflow *should* show (`runs`, `metrics`, `files`, `models`) beside how much of that
has arrived (`sent`), so a fact said twice is one row, and sending again is harmless.

Write-ahead logging with `synchronous=NORMAL`: a commit costs no fsync, a killed process loses
nothing, and only a power cut can lose the last moments. Those are not lost for good either: the
driver says everything again from the ledger and the checkpoints when it starts, and what had
arrived already changes nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import TrackingError
from sweeper.tracking.names import SWEEP

VERSION = 1
BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;

CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    announced INTEGER NOT NULL DEFAULT 0,   -- whether its start was said; nothing is sent before
    parent INTEGER,
    name TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'running',
    started INTEGER,                        -- milliseconds since 1970, as all times here
    ended INTEGER,
    params TEXT NOT NULL DEFAULT '{}',
    tags TEXT NOT NULL DEFAULT '{}',
    end_tags TEXT NOT NULL DEFAULT '{}',    -- apart, so that a start said twice overrides no end
    note TEXT NOT NULL DEFAULT '',
    end_note TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 1,
    sent INTEGER NOT NULL DEFAULT 0,        -- the revision that MLflow has
    sent_params TEXT NOT NULL DEFAULT '{}',
    sent_tags TEXT NOT NULL DEFAULT '{}',
    sent_status TEXT NOT NULL DEFAULT '',
    run_id TEXT,
    artifact_uri TEXT
);

CREATE TABLE metrics (
    number INTEGER, key TEXT, step INTEGER,
    value REAL,                             -- NULL is NaN: SQLite has none
    time INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (number, key, step)
) WITHOUT ROWID;
CREATE INDEX metrics_waiting ON metrics (number) WHERE sent = 0;

CREATE TABLE files (
    number INTEGER, name TEXT,
    path TEXT, content BLOB,                -- one of the two
    version TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1,
    sent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (number, name)
);
CREATE INDEX files_waiting ON files (number) WHERE sent < revision;

CREATE TABLE models (
    number INTEGER, name TEXT, folder TEXT,
    revision INTEGER NOT NULL DEFAULT 1,
    sent INTEGER NOT NULL DEFAULT 0,
    uri TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (number, name)
);

CREATE TABLE failures (
    number INTEGER, kind TEXT, key TEXT, error TEXT NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (number, kind, key)
);
"""

_WAITING = """
WITH known AS (SELECT number FROM runs WHERE announced = 1),
     waiting AS (
        SELECT number, 1 AS facts FROM runs WHERE sent < revision
        UNION ALL SELECT number, count(*) FROM metrics WHERE sent = 0 GROUP BY number
        UNION ALL SELECT number, count(*) FROM files WHERE sent < revision GROUP BY number
        UNION ALL SELECT number, count(*) FROM models WHERE sent < revision GROUP BY number
     )
SELECT number, sum(facts) FROM waiting JOIN known USING (number) GROUP BY number ORDER BY number
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the outbox at `path`, made first where it is missing.

    The connection is in autocommit mode and may be used from several threads, one at a time.
    Raises TrackingError where the file is damaged, not an outbox or made by a later version.
    """
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
    if version not in (0, VERSION):
        connection.close()
        raise TrackingError(f"{path} was written by another version of sweeper ({version})")
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into TrackingError, saying which file and what to do about it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TrackingError(f"cannot write the outbox {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"the outbox {path} is damaged ({error}); move it away and run the sweep again: "
            "what it held is taken from the ledger"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. Inside another transaction it joins that one."""
    if _in_transaction(connection):
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk has rolled back already.
        if _in_transaction(connection):
            connection.execute("ROLLBACK")
        raise


def _in_transaction(connection: sqlite3.Connection) -> bool:
    return connection.in_transaction


def read_meta(connection: sqlite3.Connection, key: str) -> str:
    """A word about the outbox as a whole; empty where it was never said."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return "" if row is None else str(row[0])


def write_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
        "WHERE value IS NOT excluded.value",
        (key, value),
    )


def waiting(connection: sqlite3.Connection) -> dict[int, int]:
    """Runs about which MLflow does not know everything yet → how many facts it lacks.

    A fact is a run's own row, a metric's value at a step, a file or a model. Numbers ascend.
    """
    return {int(number): int(facts) for number, facts in connection.execute(_WAITING)}


def interrupt(
    connection: sqlite3.Connection, keep: Collection[int] = (), *, sweep: bool = False
) -> list[int]:
    """Count running trials as interrupted, all but `keep`; with `sweep`, the sweep's run too."""
    rows = connection.execute("SELECT number FROM runs WHERE announced = 1 AND state = 'running'")
    left = [row[0] for row in rows if row[0] not in keep and (sweep or row[0] != SWEEP)]
    connection.executemany(
        "UPDATE runs SET state = 'interrupted', ended = ?, revision = revision + 1 "
        "WHERE number = ?",
        [(round(time.time() * 1000), number) for number in left],
    )
    return left


def failures(connection: sqlite3.Connection) -> list[tuple[int, str, str, str]]:
    """(run's number, kind, key, error) of all that was refused for good, oldest first."""
    return connection.execute(
        "SELECT number, kind, key, error FROM failures ORDER BY time, number, kind, key"
    ).fetchall()
