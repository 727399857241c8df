"""The database: a file of SQLite in the home, or PostgreSQL by its address."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session as Session
from sqlalchemy.orm import sessionmaker

from sweeper.errors import SweeperError, UserError
from sweeper.secrets import redacted
from sweeper.service.state.session_locks import SessionLocks

BUSY_SECONDS = 30
"""How long a write to SQLite waits for another one."""

_UPGRADE = "the schema"

_NOTICE_THE_DEAD = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""Settings of PostgreSQL's own library: of a connection that the network has cut it would otherwise
know after two hours."""


class DatabaseError(SweeperError):
    """The service's database cannot be opened, read or written."""


class Held:
    """A lock that was asked for; true where this process got it."""

    def __init__(self, had: bool, session: Connection | None = None) -> None:
        self._had = had
        self._session = session

    def __bool__(self) -> bool:
        return self._had

    def check(self) -> None:
        """See that it is not lost, as it is with the connection that has it; a file's never is.

        Raises:
            DatabaseError: it is.
        """
        if self._session is not None:
            with _translated(str(self._session.engine.url)):
                self._session.execute(text("SELECT 1"))


class Database:
    """The service's database, from any thread.

    `reading()` and `writing()` give a session for the length of a block; what was read in it can be
    looked at afterwards. Of two writers on SQLite the second waits.
    """

    def __init__(self, url: str) -> None:
        """Raises:
        UserError: the address is none, or its driver is not installed.
        """
        self.url = url
        self._engine = _engine(url)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        self._locks = SessionLocks(self._engine)
        self._watching = threading.Lock()
        self._watch: sqlite3.Connection | None = None

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        """Its file, where it is one."""
        name = self._engine.url.database
        return Path(name) if self.is_sqlite and name else None

    def upgrade(self) -> None:
        """Make the tables, or bring them to what this version needs. Several processes may do so at
        once.

        Raises:
            DatabaseError: it cannot be reached or written, or a newer version has made it.
        """
        from alembic import command  # a driver, which has nothing to upgrade, starts without
        from alembic.config import Config
        from alembic.util import CommandError

        with _translated(self.url), self.lock(_UPGRADE, wait=True), self._engine.begin() as here:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = here
            try:
                command.upgrade(config, "head")
            except CommandError as error:  # it has gone through migrations that are not known here
                raise DatabaseError(
                    f"the database {redacted(self.url)} was made by a newer sweeper: install that "
                    "one, or bring back the copy from before it"
                ) from error

    def answers(self) -> None:
        """See that it can be reached.

        Raises:
            DatabaseError: it cannot.
        """
        with _translated(self.url), self._engine.connect():
            pass

    def version(self) -> int | None:
        """A number that is another one whenever anybody has written since, which costs next to
        nothing to ask; None where the database has none, as PostgreSQL."""
        if not self.is_sqlite:
            return None
        with self._watching:
            try:
                if self._watch is None:  # a connection that only looks: others' writes count
                    self._watch = sqlite3.connect(
                        str(self.file), timeout=0, isolation_level=None, check_same_thread=False
                    )
                return int(self._watch.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error:  # whoever reads the database in earnest is told why
                return None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database."""
        with _translated(self.url), self._sessions() as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose writes all take place at the end of the block, or none of them."""
        with _translated(self.url), self._sessions() as session:
            session.connection(execution_options={"writing": True})
            yield session
            session.commit()

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool = False) -> Iterator[Held]:
        """The lock of this name in this schema for the length of the block, true where this process
        has it, which with `wait` it does. It dies with its holder, or with the holder's connection.

        Raises:
            DatabaseError: it cannot be reached.
        """
        if self.is_sqlite:
            with _file_lock(self.file, name, wait) as had:
                yield Held(had)
            return
        with _translated(self.url), self._locks.lock(name, wait=wait) as session:
            yield Held(session is not None, session)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (exc.DataError, UnicodeEncodeError) as error:  # U+0000, or half a pair of UTF-16
        raise UserError("something in this is no text or number that can be kept") from error
    except (exc.DBAPIError, exc.TimeoutError) as error:
        said = error.orig if isinstance(error, exc.DBAPIError) else error.args[0]
        reason = str(said).strip().splitlines()[0]
        raise DatabaseError(f"the database {redacted(url)} cannot be used: {reason}") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        in_memory = backend == "sqlite" and parsed.database in (None, "", ":memory:")
        if in_memory or backend not in ("sqlite", "postgresql"):
            raise exc.ArgumentError(url)
        if backend == "postgresql" and parsed.get_driver_name() in ("psycopg", "psycopg2"):
            parsed = parsed.set(query={**_NOTICE_THE_DEAD, **parsed.query})
        engine = create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=40)
    except exc.ArgumentError as error:
        raise UserError(
            f"{redacted(url)} is not a database address; expected "
            "postgresql+psycopg://USER@HOST/NAME or sqlite:///FILE.db"
        ) from error
    except ImportError as error:
        raise UserError(
            f"no driver for {redacted(url)} is installed; for PostgreSQL write "
            "postgresql+psycopg://… and pip install 'gan-sweeper[cluster]'"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, record: object) -> None:
    """Transactions are begun by us: the driver's own begin too late, and fail where two write.
    Letters of every language have a small form: of itself SQLite knows those of ASCII alone."""
    connection.isolation_level = None
    connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    for setting in (
        "journal_mode=WAL",
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
        "synchronous=FULL",
    ):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextlib.contextmanager
def _file_lock(database: Path | None, name: str, wait: bool) -> Iterator[bool]:
    if database is None:
        raise UserError("the service's database must be a file: it is shared by processes")
    slug = "".join(letter if letter.isalnum() else "-" for letter in name)
    file = database.with_name(f"{database.name}-{slug}.lock")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
