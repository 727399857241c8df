"""What the environment names for `sweeper doctor`: is it understood, and does it answer?"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sweeper.errors import SweeperError, TrackingError, UserError
from sweeper.home import Home
from sweeper.secrets import redacted

ANSWER_IN = 5.0
"""Seconds for a server to answer."""

SQLITE = b"SQLite format 3\0"
"""How each of SQLite's files begins that is not empty."""

_FOUND_BY_RAY = ("auto", "local")
"""What stands for an address of Ray's."""


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
    """Inside, the clients of PostgreSQL and of MLflow wait as long as we, or as the user has said;
    of themselves they wait without end, or for minutes."""
    seconds = f"{ANSWER_IN:.0f}"
    told = {
        "PGCONNECT_TIMEOUT": seconds,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": seconds,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    ours = {name: value for name, value in told.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _ray(home: Home, given: str) -> None:
    if given in _FOUND_BY_RAY:
        return
    host, colon, port = given.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise UserError(
            f"{given} is not the address of a Ray cluster: expected HOST:PORT of its head"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_IN).close()
    except (OSError, OverflowError, ValueError) as error:
        raise UserError(f"no Ray answers at {given}: {error}") from error


def _storage(home: Home, given: str) -> None:
    from sweeper.search.driver_lock import answers
    from sweeper.search.storage import file_of

    file = file_of(given)
    if file or given.startswith("sqlite"):
        _check_file(file, given)
    else:
        answers()


def _database(home: Home, given: str) -> None:
    from sweeper.service.settings import database_url
    from sweeper.service.state.database import Database

    database = Database(database_url(home))
    try:
        if database.file:
            _check_file(database.file, given)
        else:
            database.answers()
    finally:
        database.close()


def _check_file(file: Path | None, given: str) -> None:
    """See that SQLite can use a file, or make it: to connect would make it here and now."""
    if file is None:
        raise UserError(
            f"{given} is a database in memory, which is lost at exit: expected sqlite:///FILE.db"
        )
    if not (file.parent.is_dir() and os.access(file.parent, os.W_OK | os.X_OK)):
        raise UserError(f"{file.parent} is not a writable folder")
    if not file.exists():
        return
    with file.open("r+b") as opened:
        if opened.read(len(SQLITE)) not in (b"", SQLITE):
            raise UserError(f"{file} is not an SQLite database")


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
    from sweeper.tracking.address import database_file, tracking_uri
    from sweeper.tracking.store import Store

    uri = tracking_uri(home.path)
    if uri.lower().startswith("sqlite:"):
        _check_file(database_file(uri), given)
    elif uri.lower().startswith(("http://", "https://")):
        # Whom Databricks' own client finds is not asked, nor another database, in which MLflow
        # would make its tables.
        try:
            Store(uri, home.mlartifacts).ask()
        except TrackingError as error:
            raise UserError(f"MLflow at {given}: {error}") from error


_LOOKS: dict[str, Callable[[Home, str], None]] = {
    "RAY_ADDRESS": _ray,
    "SWEEPER_STORAGE": _storage,
    "SWEEPER_DATABASE": _database,
    "SWEEPER_BUCKET": _bucket,
    "SWEEPER_EVICTION": _eviction,
    "SWEEPER_MACHINES": _machines,
    "MLFLOW_TRACKING_URI": _mlflow,
}
