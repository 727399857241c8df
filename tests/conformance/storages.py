"""Where studies can be kept, each as the suites need it. A new storage is a class at the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import event
from sqlalchemy.engine import Engine

from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.reader import read_study
from sweeper.sweepfile.model import Sweep

WRITES = (
    "create_new_study",
    "create_new_trial",
    "set_study_user_attr",
    "set_trial_param",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
)
"""The methods by which Optuna's storages change anything that the ledger keeps."""


class Killed(BaseException):
    """The process is gone; nothing that catches errors catches that."""


class Place:
    """A home whose studies are kept in one kind of storage; `address` is what SWEEPER_STORAGE says.

    Registering is subclassing.
    """

    key: ClassVar[str]
    every: ClassVar[dict[str, type[Place]]] = {}

    def __init_subclass__(cls) -> None:
        Place.every[cls.key] = cls

    def __init__(self, home: Path, request: pytest.FixtureRequest) -> None:
        self.home = Home(home)
        self.address: str | None = None

    def open(self, sweep: Sweep) -> Ledger:
        """As the driver of the sweep does."""
        folder = self.home.sweep(sweep.name)
        folder.create()
        return Ledger.open(sweep, folder, self.address)

    def read(self, sweep: Sweep) -> Ledger | None:
        """As a listing does."""
        return read_study(sweep, self.home.sweep(sweep.name), self.address)

    @contextmanager
    def optunas_own(self, sweep: Sweep) -> Iterator[BaseStorage]:
        """The storage as Optuna's own tools open it: by its address."""
        storage = RDBStorage(str(self.address))
        yield storage
        storage.engine.dispose()


@contextmanager
def killed_before(write: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raise `Killed` in this block in place of its write number `write`, from 1."""
    done = 0
    inside = False

    def mortal(method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal done, inside
            if inside:  # a storage that hands on to another one
                return method(*args, **kwargs)
            done += 1
            if done >= write:
                raise Killed
            inside = True
            try:
                return method(*args, **kwargs)
            finally:
                inside = False

        return call

    with monkeypatch.context() as patched:
        for storage in _storages(BaseStorage):
            for name in WRITES:
                if name in vars(storage):
                    patched.setattr(storage, name, mortal(getattr(storage, name)))
        yield


def _storages(base: type) -> Iterator[type]:
    for storage in base.__subclasses__():
        yield storage
        yield from _storages(storage)


class JournalPlace(Place):
    key = "journal"

    @contextmanager
    def optunas_own(self, sweep: Sweep) -> Iterator[BaseStorage]:
        path = self.home.sweep(sweep.name).study_journal
        yield JournalStorage(JournalFileBackend(str(path)))


class SqlitePlace(Place):
    key = "sqlite"

    def __init__(self, home: Path, request: pytest.FixtureRequest) -> None:
        super().__init__(home, request)
        home.mkdir(exist_ok=True)
        self.address = f"sqlite:///{home}/studies.db"
        # Whether it survives a power cut is not what is tested here.
        event.listen(Engine, "connect", _without_sync)
        request.addfinalizer(lambda: event.remove(Engine, "connect", _without_sync))


def _without_sync(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


class PostgresPlace(Place):
    key = "postgresql"

    def __init__(self, home: Path, request: pytest.FixtureRequest) -> None:
        super().__init__(home, request)
        self.address = request.getfixturevalue("empty_database")
