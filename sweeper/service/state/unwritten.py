"""What was looked up in the database, for as long as nobody has written to it.

Every request asks who sends it, and most which sweep they mean; few seconds pass in which anybody
writes. Only a database that says at once whether somebody has (`Database.version`) is spared.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

from sweeper.service.state.database import Database

MOST = 10_000
"""Answers that are kept, where nobody writes for long."""


class Unwritten:
    """Keeps what was read until anybody writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._version: int | None = None
        self._kept: dict[Hashable, Any] = {}

    def version(self) -> int | None:
        """What `keep` is told of something that is read from now on."""
        return self._database.version()

    def known(self, key: Hashable) -> Any:
        """What was kept under this key, if it would be read again; else None."""
        return self._at(self.version()).get(key)

    def keep(self, version: int | None, key: Hashable, found: Any) -> None:
        """Keep what was read after the database had this version: if somebody wrote in between, it
        has another one by now, and nobody is told of this."""
        kept = self._at(version)
        if version is not None and len(kept) < MOST:
            kept[key] = found

    def _at(self, version: int | None) -> dict[Hashable, Any]:
        """What is kept of this version; of another one nothing is any more."""
        with self._lock:
            if version is None or version != self._version:
                self._version, self._kept = version, {}
            return self._kept
