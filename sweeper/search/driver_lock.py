"""One driver a study, wherever it runs: a lock in the database, held by a session of its own.

PostgreSQL frees it when the session ends, however its process ends. It guards what the lock of the
sweep's folder cannot: two machines that share no folder, two homes with one name. A driver whose
lock was taken from it, or lost with its connection, may still write for an instant; `Owner` keeps
that out of the study. Other databases are one machine's, and the folder's lock is enough there.

The key is made of the schema and the study's name. PgBouncer must be in session mode, if any.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sweeper.errors import LedgerError, SweepBusy
from sweeper.search.address import address_of
from sweeper.search.storage import APPLICATION, is_postgresql, options_for, reaching

if TYPE_CHECKING:
    from sqlalchemy import Connection

PATIENCE = 10.0
"""Seconds for the sessions of an earlier driver to end once they were told to."""

_HOLDER = """
SELECT pid, application_name, client_addr::text AS address FROM pg_stat_activity
WHERE pid IN (
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = :high AND objid = :low
)
"""
_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = :pid OR (application_name = :name AND datname = current_database())
"""
_NOTICE_THE_DEAD = (
    # Of a machine that has vanished PostgreSQL would otherwise know after two hours.
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)


class Holder(NamedTuple):
    """The session that has the lock."""

    pid: int
    application: str
    address: str | None

    def in_words(self) -> str:
        """Whose it is, as far as that is known."""
        where = f" (from {self.address})" if self.address else ""
        if not self.application.startswith("sweeper "):
            return f"another driver, the database's process {self.pid}{where}"
        process, _, machine = self.application.split()[1].partition("@")
        return f"process {process} on {machine}{where}"


@contextmanager
def sole_driver(name: str, storage: str | None = None, *, take_over: bool) -> Iterator[None]:
    """Be the one driver of the study `name` for the length of the block.

    `storage` is that of `Ledger.open`. With `take_over` the sessions of an earlier driver are
    ended, to be used where it is known not to come back, or not to be wanted.

    Raises:
        SweepBusy: another driver has it; it is named.
        LedgerError: the database cannot be reached, or its sessions cannot be ended.
        UserError: the storage's address is none, or its driver is not installed.
    """
    address = address_of(storage)
    if not is_postgresql(address):
        yield
        return
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with reaching(address):
        engine = create_engine(address, poolclass=NullPool, **options_for(address))
        session = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with reaching(address):
            _lock(session, name, take_over)
        yield
    finally:
        session.invalidate()  # also where it has been ended, or a network hangs
        session.close()
        engine.dispose()


def answers() -> None:
    """See that the database of this process's studies answers.

    Raises:
        LedgerError: it does not.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    address = address_of(None)
    with reaching(address):
        engine = create_engine(address, poolclass=NullPool, **options_for(address))
        engine.connect().close()


def _lock(session: Connection, name: str, take_over: bool) -> None:
    from sqlalchemy import text

    for setting in _NOTICE_THE_DEAD:
        session.execute(text(setting))
    schema = session.execute(text("SELECT current_schema()")).scalar()
    digest = hashlib.sha256(f"sweeper driver {schema} {name}".encode()).digest()
    key = int.from_bytes(digest[:8], signed=True)
    place = {"high": key >> 32 & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
    deadline = time.monotonic() + PATIENCE
    while not session.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
        row = session.execute(text(_HOLDER), place).first()
        if row is not None:  # else it has gone this instant
            holder = Holder(*row)
            if not take_over:
                raise SweepBusy(name, None, holder.in_words())
            if time.monotonic() > deadline:
                raise LedgerError(f"{holder.in_words()} has the study {name!r} and cannot be ended")
            ours = holder.application in ("", APPLICATION)
            others = {"pid": holder.pid, "name": None if ours else holder.application}
            session.execute(text(_END), others)
        time.sleep(0.05)
