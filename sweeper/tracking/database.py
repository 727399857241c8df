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
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import TrackingError

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
    path TEXT, content BLOB,                -- one of the two; neither: to be taken away again
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
    PRIMARY KEY (number, name)
);

CREATE TABLE failures (
    number INTEGER, kind TEXT, key TEXT, error TEXT NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (number, kind, key)
);
"""


class Database:
    """The outbox at `path`, open; made first where it is missing. May be used from several threads.

    Raises:
        TrackingError: the file is damaged, no outbox, or was made by a later version; from every
            method also where it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection = _connect(path)

    def close(self) -> None:
        """Let go of the file. What it holds stays."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Use the connection, which is in autocommit mode, alone."""
        with self._lock, _translated(self.path):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write all of a block or nothing. Inside another such block it joins that one."""
        with self.reading() as connection, _transaction(connection):
            yield connection

    def kept(self, path: Path) -> str:
        """How a path is kept here: relative to the sweep's folder, where it is inside, so that a
        home can move."""
        folder = self.path.absolute().parent
        whole = path.absolute()
        return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)

    def found(self, kept: str) -> Path:
        """Where something that is kept by this path lies now.

        An outbox of 0.1.0 holds absolute paths: one that leads nowhere is looked for in the folder
        of this name that there is now.
        """
        folder = self.path.absolute().parent
        path = folder / kept
        if not path.exists() and folder.name in path.parts:
            *_, inside = kept.rpartition(f"/{folder.name}/")
            return folder / inside
        return path

    def meta(self, key: str) -> str:
        """A word about the outbox as a whole; empty where it was never said."""
        with self.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Say a word about the outbox as a whole."""
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE "
                "SET value = excluded.value WHERE value IS NOT excluded.value",
                (key, value),
            )


def _connect(path: Path) -> sqlite3.Connection:
    with _translated(path):
        if not path.exists() and path.parent.is_dir():
            path.touch()  # SQLite's own files are no group's to write
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
def _translated(path: Path) -> Iterator[None]:
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
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
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
