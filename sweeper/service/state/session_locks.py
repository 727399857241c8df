"""Locks of PostgreSQL, each held by a session of the database.

PostgreSQL frees one when it learns that its session is over. Of a network that has cut the
connection it learns nothing: a holder that finds its own session lost ends it before it asks again,
and of a machine that has vanished PostgreSQL knows within half a minute.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, exc, text

PATIENCE = 10.0
"""Seconds for a lost session of our own to end once it was told to."""

_NOTICE_THE_DEAD = (
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
)
_SESSION = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = :pid AND backend_start = :began AND pid IN (
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND classid = :high AND objid = :low
)
"""


class _Session(NamedTuple):
    """A session as PostgreSQL knows it; a process's number alone may be another one's by now."""

    pid: int
    began: datetime


class SessionLocks:
    """Locks by name in one schema, for all threads of a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lost: dict[str, _Session] = {}

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool) -> Iterator[Connection | None]:
        """The session that has the lock of this name for the length of the block; None where
        another one has it, which with `wait` is waited for.

        Raises:
            SQLAlchemyError: the database cannot be reached, or does not end a lost session of ours.
        """
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            for setting in _NOTICE_THE_DEAD:
                session.execute(text(setting))
            key = _key(session, name)
            self._end_lost(session, name, key)
            mine = _Session(*session.execute(text(_SESSION)).one())
            try:
                had = _taken(session, key, wait)
            except exc.SQLAlchemyError:
                self._lost[name] = mine  # it may have the lock all the same
                session.invalidate()
                raise
            if not had:
                yield None
                return
            try:
                yield session
            finally:
                if not _released(session, key):
                    self._lost[name] = mine

    def _end_lost(self, session: Connection, name: str, key: int) -> None:
        """End the session in which this process has lost the lock, where it still has it. Until
        that is done it is known, for to everybody else it is a holder as any other."""
        lost = self._lost.get(name)
        if lost is None:
            return
        place = {"high": key >> 32 & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
        deadline = time.monotonic() + PATIENCE
        while session.execute(text(_END), {**lost._asdict(), **place}).first() is not None:
            if time.monotonic() > deadline:
                raise exc.TimeoutError(
                    f"a lost session of our own, process {lost.pid} of the server, was told to "
                    f"end and has not in {PATIENCE:g} s"
                )
            time.sleep(0.05)
        del self._lost[name]


def _taken(session: Connection, key: int, wait: bool) -> bool:
    """Ask for the lock, and wait for it where that is said; False where another one has it."""
    if wait:
        session.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        return True
    return bool(session.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}))


def _key(session: Connection, name: str) -> int:
    """The number that PostgreSQL knows the lock by. In `public` it is that of versions which knew
    no other schema: while a service is upgraded, one of them may still be at work."""
    schema = session.scalar(text("SELECT current_schema()"))
    words = name if schema == "public" else f"{schema} {name}"
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], signed=True)


def _released(session: Connection, key: int) -> bool:
    """Give the lock back; False where that could not be, as its connection has died."""
    try:
        if session.scalar(text("SELECT pg_advisory_unlock(:key)"), {"key": key}):
            return True
    except exc.SQLAlchemyError:
        pass
    session.invalidate()
    return False
