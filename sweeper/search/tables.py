"""A study in a database, by the database's own driver: what a listing needs of Optuna's tables.

Optuna's own reader brings SQLAlchemy's mapper and Alembic with it, whose imports take longer than a
listing of thousands of trials does, and fetches each entry's parameters too. It stays the one that
knows: whatever is unlike what is known here is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

KNOWN = "v3.2.0.a"
"""The version of Optuna's tables that is read here, as Alembic has it."""

PATIENCE = 10
"""Seconds that a server may take to let one in."""

_VALUES = {"INF_POS": float("inf"), "INF_NEG": float("-inf")}
"""What stands for an objective's value that a column cannot hold."""


class Unread(Exception):  # noqa: N818 - says what it is
    """The study is to be read by Optuna, which says what is wrong, if anything is."""


@dataclass
class Row:
    """One entry of a study, without its parameters; `state` is the name of Optuna's."""

    id: int
    number: int
    state: str
    started: datetime | None
    ended: datetime | None
    attrs: dict[str, Any] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


class Tables:
    """Optuna's tables in one database, as they are at one instant."""

    def __init__(self, connection: Any, mark: str) -> None:
        """`mark` stands for a value in the driver's SQL."""
        self._connection = connection
        self._mark = mark

    def study(self, name: str) -> tuple[int, dict[str, Any]] | None:
        """Id and attributes of the study of this name; None where there is none.

        Raises:
            Unread: the tables are not there, or are of another version.
        """
        if self._rows("SELECT version_num FROM alembic_version") != [(KNOWN,)]:
            raise Unread
        found = self._rows("SELECT study_id FROM studies WHERE study_name = ?", name)
        if not found:
            return None
        study: int = found[0][0]
        query = "SELECT key, value_json FROM study_user_attributes WHERE study_id = ?"
        return study, {key: _told(value) for key, value in self._rows(query, study)}

    def entries(self, study: int, after: int, also: Sequence[int]) -> list[Row]:
        """The entries of a study with an id above `after`, and those with one of `also`, in the
        order of their numbers.

        Raises:
            Unread: they cannot be read.
        """
        one_of = f" OR trial_id IN ({', '.join('?' * len(also))})" if also else ""
        which, given = f"study_id = ? AND (trial_id > ?{one_of})", (study, after, *also)
        columns = "trial_id, number, state, datetime_start, datetime_complete"
        rows = {
            id_: Row(id_, number, state, _time(started), _time(ended))
            for id_, number, state, started, ended in self._rows(
                f"SELECT {columns} FROM trials WHERE {which}", *given
            )
        }
        if not rows:
            return []
        these = f"trial_id IN (SELECT trial_id FROM trials WHERE {which})"
        query = f"SELECT trial_id, key, value_json FROM trial_user_attributes WHERE {these}"
        for id_, key, value in self._rows(query, *given):
            rows[id_].attrs[key] = _told(value)
        columns = "trial_id, value, value_type"
        query = f"SELECT {columns} FROM trial_values WHERE {these} ORDER BY objective"
        for id_, value, kind in self._rows(query, *given):
            rows[id_].values.append(_VALUES.get(kind, value))
        return sorted(rows.values(), key=lambda row: row.number)

    def over(self, study: int, up_to: int, but: Sequence[int]) -> tuple[int, datetime | None]:
        """How many entries of a study with an id of at most `up_to` are over, without those with
        one of `but`, and when the last of them ended.

        Raises:
            Unread: they cannot be read.
        """
        none_of = f" AND trial_id NOT IN ({', '.join('?' * len(but))})" if but else ""
        query = (
            "SELECT COUNT(*), MAX(datetime_complete) FROM trials WHERE study_id = ? "
            f"AND trial_id <= ? AND state NOT IN ('RUNNING', 'WAITING'){none_of}"
        )
        [(count, latest)] = self._rows(query, study, up_to, *but)
        return count, _time(latest)

    def _rows(self, query: str, *given: Any) -> list[Any]:
        try:
            found = self._connection.execute(query.replace("?", self._mark), given)
            rows: list[Any] = found.fetchall()
        except Exception as error:  # each driver has its own
            raise Unread from error
        return rows


@contextmanager
def tables_at(address: str) -> Iterator[Tables]:
    """The tables of the database at an address, as they are at one instant.

    Raises:
        Unread: it is of a kind that is not known here, or cannot be reached.
    """
    scheme, _, rest = address.partition("://")
    try:
        if scheme in ("postgresql", "postgresql+psycopg"):
            connection, mark = _postgresql(f"postgresql://{rest}"), "%s"
        elif scheme == "sqlite":
            connection, mark = _sqlite(rest.removeprefix("/")), "?"
        else:
            raise Unread
    except Exception as error:  # each driver has its own, or is not installed
        raise Unread from error
    with closing(connection):
        yield Tables(connection, mark)


def _postgresql(address: str) -> Any:
    import psycopg

    connection = psycopg.connect(address, connect_timeout=PATIENCE)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def _sqlite(path: str) -> Any:
    import sqlite3

    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
    connection.execute("BEGIN")
    return connection


def _told(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unread from error


def _time(told: datetime | str | None) -> datetime | None:
    """Optuna keeps UTC, without saying so; SQLite keeps texts."""
    time = datetime.fromisoformat(told) if isinstance(told, str) else told
    return None if time is None else time.replace(tzinfo=UTC)
