"""The store behind an address, asked with patience: what is the network's fault is tried again."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sweeper.errors import BucketAway, BucketError
from trials.errors import reason_of
from trials.storages import StorageError, opened

PATIENCE = 150.0
"""Seconds in which a store that fails may come back."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between two tries, doubled with each one."""

_REFUSED = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
_OURS = (ImportError, TypeError, AttributeError, NotImplementedError, LookupError)
"""What would come again, however often it is tried."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


class Store:
    """Objects below `address`, each by its key, `commits/000001.json`.

    Every method raises BucketAway where the store does not answer within `patience` seconds, and
    BucketError where it refuses.
    """

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        self.address = address
        self._patience = patience

    def below(self, name: str) -> Store:
        """The same store from a key of this one on."""
        return Store(f"{self.address}/{name}", self._patience)

    def write(self, key: str, content: bytes) -> None:
        """Put an object, whole or not at all."""
        self._asked(lambda: self._storage.pipe_file(self._at(key), content), f"write {key} in")

    def send(self, path: Path, key: str) -> None:
        """Put the file at `path` at a key that is used once."""

        def put() -> None:
            with suppress(FileExistsError):  # by a try whose answer was lost
                self._storage.put_file(str(path), self._at(key))

        self._asked(put, f"write {key} in")

    def read(self, key: str) -> bytes:
        """An object's content.

        Raises:
            FileNotFoundError: there is no such object.
        """
        found: bytes = self._looked(lambda: self._storage.cat_file(self._at(key)), f"read {key} in")
        return found

    def fetch(self, key: str, path: Path) -> None:
        """Write an object's content to `path`.

        Raises:
            FileNotFoundError: there is no such object.
            OSError: there is no room for it.
        """
        self._looked(lambda: self._storage.get_file(self._at(key), str(path)), f"read {key} in")

    def listed(self, folder: str = "") -> list[str]:
        """All objects' keys, or those below a folder: one listing, however many they are."""
        return sorted(self.sizes(folder))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """The same with the bytes of each."""

        def found() -> dict[str, Any]:
            self._storage.invalidate_cache()  # others write here
            facts: dict[str, Any] = self._storage.find(self._at(folder), detail=True)
            return facts

        beginning = len(self._root) + 1
        try:
            listed = self._looked(found, "list")
        except FileNotFoundError:
            return {}
        return {name[beginning:]: int(facts["size"]) for name, facts in listed.items()}

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these objects; who is gone already is no fault."""
        if names := [self._at(key) for key in keys]:
            self._asked(lambda: self._remove(names), "remove from")

    def _remove(self, names: list[str]) -> None:
        try:
            self._storage.rm(names)
        except FileNotFoundError:
            for name in names:
                if self._storage.exists(name):
                    self._storage.rm_file(name)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            storage, root = opened(self.address)
        except StorageError as error:
            raise BucketError(str(error)) from error
        if hasattr(storage, "auto_mkdir"):  # of a folder on a disk
            storage.auto_mkdir = True
        return storage, root

    @property
    def _storage(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _asked(self, ask: Callable[[], T], what: str) -> T:
        try:
            return self._looked(ask, what)
        except FileNotFoundError as error:
            raise BucketError(f"cannot {what} {self.address}: {reason_of(error)}") from error

    def _looked(self, ask: Callable[[], T], what: str) -> T:
        end, pause = time.monotonic() + self._patience, FIRST_PAUSE
        while True:
            try:
                return ask()
            except (*_REFUSED, *_OURS) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                raise BucketError(f"cannot {what} {self.address}: {reason_of(error)}") from error
            except BucketError:
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno in _NO_ROOM:
                    raise
                if time.monotonic() + pause > end:
                    told = f"cannot {what} {self.address}: {reason_of(error)}"
                    raise BucketAway(told) from error
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
