"""Where studies are kept: the journal in the sweep's folder, or a database."""

from __future__ import annotations

import os
import platform
import secrets
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage

from sweeper.errors import LedgerError, UserError
from sweeper.home import SweepFolder
from sweeper.search.address import STORAGE_VARIABLE, address_of
from sweeper.search.journal import Journal, JournalStudies
from sweeper.secrets import redacted
from sweeper.sweepfile.model import Sweep

APPLICATION = f"sweeper {os.getpid()}@{platform.node()[:32]} {secrets.token_hex(4)}"
"""By which a database tells the sessions of this process."""

_ATTEMPTS = 20
"""Of making ten tables and an index, of which another process may be making each."""


def open_storage(folder: SweepFolder, url: str | None) -> tuple[BaseStorage, Journal | None]:
    """The storage at `url`, by default at $SWEEPER_STORAGE, else the folder's journal (given too).

    Raises:
        UserError: the address is none, or its driver is not installed.
        LedgerError: the database cannot be opened, or the journal is damaged.
    """
    if address := address_of(url):
        return _open_database(address), None
    journal = Journal(folder.study_journal)
    studies = JournalStudies(journal)
    journal.check()  # a line that is damaged has been named by now
    return studies, journal


def storage_exists(folder: SweepFolder, url: str | None) -> bool:
    """Whether there is anything to open, without making it."""
    return bool(address_of(url)) or folder.study_journal.exists()


def load_study(sweep: Sweep, storage: BaseStorage) -> optuna.Study:
    """The sweep's study in a storage that has it."""
    # The sampler and the pruner are never asked: `asking` and `stopping` decide.
    return optuna.load_study(
        storage=storage,
        study_name=sweep.name,
        sampler=optuna.samplers.RandomSampler(0),
        pruner=optuna.pruners.NopPruner(),
    )


def is_postgresql(address: str) -> bool:
    """Whether the address is one of a PostgreSQL server."""
    return address.startswith(("postgresql:", "postgresql+"))


def file_of(address: str) -> Path | None:
    """The file of SQLite at this address; None of another database, or one in memory.

    Raises:
        UserError: it is not an address.
    """
    from sqlalchemy.engine import make_url

    with reaching(address):
        url = make_url(address)
    in_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if in_file else None


def options_for(address: str) -> dict[str, Any]:
    """What an engine of this address is made with: its sessions tell the server whose they are."""
    named = address.startswith(("postgresql:", "postgresql+psycopg"))
    return {"connect_args": {"application_name": APPLICATION}} if named else {}


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turn what SQLAlchemy raises of a database into our own, without the secrets of its address.

    Raises:
        UserError: the address is none, or its driver is not installed.
        LedgerError: the database cannot be reached.
    """
    from sqlalchemy import exc  # a listing of journals need not wait for it

    shown = redacted(url)
    try:
        yield
    except exc.ArgumentError as error:
        raise UserError(
            f"{STORAGE_VARIABLE} is not a database address; expected "
            "postgresql+psycopg://USER@HOST/NAME or sqlite:///FILE.db"
        ) from error
    except ImportError as error:
        raise UserError(
            f"no driver for {shown} is installed; for PostgreSQL write postgresql+psycopg://… "
            "and pip install 'gan-sweeper[cluster]'"
        ) from error
    except (exc.SQLAlchemyError, RuntimeError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise LedgerError(f"cannot open the database {shown}: {reason}") from error


def _open_database(url: str) -> RDBStorage:
    with reaching(url):
        _make_tables(url)
        # Nothing is asked of the database here, so that no connection is left behind by a failure.
        database = RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, **options_for(url)},
            skip_table_creation=True,
            skip_compatibility_check=True,
        )
    # A listing opens studies by the dozen: none may keep its connections until it is collected.
    weakref.finalize(database, database.engine.dispose)
    return database


def _make_tables(url: str) -> None:
    """Make Optuna's tables where they are missing, and see that they are of this version.

    The first process on an empty database makes them. Two that find it at once are in each other's
    way: the slower one fails, and finds them on looking again.
    """
    from sqlalchemy import exc
    from sqlalchemy.pool import NullPool

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            RDBStorage(url, engine_kwargs={"poolclass": NullPool})
            return
        except exc.DBAPIError as error:
            late = isinstance(error, exc.IntegrityError) or "already exists" in str(error)
            if not late or attempt == _ATTEMPTS:
                raise
