"""What the environment names for `sweeper doctor`: is it understood, and does it answer?"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sweeper.errors import SweeperError, UserError
from sweeper.home import Home
from sweeper.secrets import redacted

ANSWER_IN = 5.0
"""Seconds for a server to answer."""

SQLITE = b"SQLite format 3\0"
"""How each of SQLite's files begins that is not empty."""

POSTGRESQL_PATIENCE = "PGCONNECT_TIMEOUT"
"""Seconds that PostgreSQL's clients wait for it; of themselves they wait without end."""


class Finding(NamedTuple):
    """One thing looked at. `ok` is None for what is optional and absent."""

    what: str
    ok: bool | None
    found: str
    remedy: str = ""


def named(home: Home) -> Iterator[Finding]:
    """A finding for each variable of the environment that names something to work with."""
    for variable, look in _LOOKS.items():
        if given := os.environ.get(variable):
            try:
                with _in_time():
                    look(home, given)
            except (SweeperError, OSError, ImportError, ValueError) as error:
                yield Finding(variable, False, redacted(str(error)), "or leave it unset")
            else:
                yield Finding(variable, True, redacted(given))


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Inside, PostgreSQL is waited for as long as any other server, or as the user has said."""
    if POSTGRESQL_PATIENCE in os.environ:
        yield
        return
    os.environ[POSTGRESQL_PATIENCE] = f"{ANSWER_IN:.0f}"
    try:
        yield
    finally:
        del os.environ[POSTGRESQL_PATIENCE]


def _ray(home: Home, given: str) -> None:
    host, colon, port = given.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # one that Ray finds by itself, as `auto`
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_IN).close()
    except (OSError, OverflowError, ValueError) as error:
        raise UserError(f"no Ray answers at {given}: {error}") from error


def _storage(home: Home, given: str) -> None:
    from sweeper.search.driver_lock import answers
    from sweeper.search.storage import file_of

    if file := file_of(given):
        _check_file(file)
    else:
        answers()


def _database(home: Home, given: str) -> None:
    from sweeper.service.settings import database_url
    from sweeper.service.state.database import Database

    database = Database(database_url(home))
    try:
        if database.file:
            _check_file(database.file)
        else:
            database.answers()
    finally:
        database.close()


def _check_file(file: Path) -> None:
    """See that SQLite can use a file, or make it: to connect would make it here and now."""
    if not (file.parent.is_dir() and os.access(file.parent, os.W_OK | os.X_OK)):
        raise UserError(f"{file.parent} is no folder in which one can write")
    if not file.exists():
        return
    with file.open("r+b") as opened:
        if opened.read(len(SQLITE)) not in (b"", SQLITE):
            raise UserError(f"{file} is no database of SQLite")


def _bucket(home: Home, given: str) -> None:
    from sweeper.bucket.place import check_bucket, given_bucket

    check_bucket(given_bucket())


def _eviction(home: Home, given: str) -> None:
    from sweeper.scheduling.machines.eviction import notices_asked_for

    notices_asked_for()


def _machines(home: Home, given: str) -> None:
    from sweeper.scheduling.cluster.growing import growth_asked_for

    growth_asked_for()


def _mlflow(home: Home, given: str) -> None:
    from sweeper.tracking.address import tracking_uri

    uri = tracking_uri(home.path)
    if not uri.lower().startswith(("http://", "https://")):
        return  # Databricks is found by its own client, and databases are opened by MLflow
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=ANSWER_IN).close()
    except urllib.error.HTTPError:
        return  # it answers, if only to whom it knows
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(f"no MLflow answers at {given}: {error}") from error


_LOOKS: dict[str, Callable[[Home, str], None]] = {
    "RAY_ADDRESS": _ray,
    "SWEEPER_STORAGE": _storage,
    "SWEEPER_DATABASE": _database,
    "SWEEPER_BUCKET": _bucket,
    "SWEEPER_EVICTION": _eviction,
    "SWEEPER_MACHINES": _machines,
    "MLFLOW_TRACKING_URI": _mlflow,
}
