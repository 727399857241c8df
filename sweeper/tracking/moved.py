"""A home that was moved or copied: MLflow's database is told where its artifacts lie now.

MLflow keeps, as absolute addresses, where the artifacts of an experiment, of each of its runs and
of each logged model lie, and would go on writing to the old place. In the home's own database those
that begin with the old place are changed, all in one transaction.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from sweeper.tracking.address import database_file

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""(table, column) of every address of artifacts in MLflow's database."""

_OURS = re.compile(r"file://(?P<root>/.*)/mlartifacts/[^/]+")

_BUSY_SECONDS = 30.0


def follow_home(uri: str, artifacts: Path) -> str:
    """Make the database at `uri` name the artifacts of its home, `artifacts`, where they lie now.

    Returns in words what has changed; empty where nothing had to. Only a database that lies beside
    its artifacts is looked at: any other may hold those of several homes. One that cannot be read
    or written is left to MLflow, which says why.
    """
    file = database_file(uri)
    if file is None or not file.exists() or file.absolute().parent != artifacts.absolute().parent:
        return ""
    moved: list[tuple[str, str]] = []
    with (
        contextlib.suppress(sqlite3.Error),
        closing(sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection,
    ):
        found = list(_moved(connection, artifacts.absolute()))
        if found:
            _rewrite(connection, found)
        moved = found
    if not moved:
        return ""
    homes = ", ".join(sorted({_root(old) for old, _ in moved}))
    return (
        f"this home was {homes} before: MLflow finds the artifacts of "
        f"{', '.join(sorted(new.rpartition('/')[2] for _, new in moved))} in {artifacts} now"
    )


def _moved(connection: sqlite3.Connection, artifacts: Path) -> Iterator[tuple[str, str]]:
    """(old, new) address of each experiment's artifacts that lie elsewhere than it says."""
    for (old,) in connection.execute("SELECT artifact_location FROM experiments").fetchall():
        match = _OURS.fullmatch(old or "")
        if match is None:
            continue
        folder = unquote(match["root"])
        here = artifacts / unquote(old.rpartition("/")[2])
        was = Path(folder) / "mlartifacts" / here.name
        if was == here or _is_same(was.parent, artifacts):
            continue
        # Another home's sweep may be recorded here: its artifacts still lie in that home.
        if here.exists() or not os.path.exists(was):
            yield old, here.as_uri()


def _rewrite(connection: sqlite3.Connection, moved: list[tuple[str, str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table, column in PLACES:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if column not in names:  # a schema of another version
            continue
        connection.executemany(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            [(new, len(old) + 1, old, len(old) + 1, f"{old}/") for old, new in moved],
        )
    connection.execute("COMMIT")


def _root(location: str) -> str:
    match = _OURS.fullmatch(location)
    return unquote(match["root"]) if match else location


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, as a link or a second mount does."""
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False
