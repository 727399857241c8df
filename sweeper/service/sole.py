"""One service a database, for as long as it serves.

Its lock is gone with the connection that has it, where the database was started again or the
network failed, and another service could take it then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from sweeper.errors import SweeperError
from sweeper.secrets import without_user
from sweeper.service.state.database import Database, DatabaseError, Held

LOOK_EVERY = 5.0
"""Seconds between two looks at the lock."""

_LOCK = "serve"

log = logging.getLogger(__name__)


class Sole:
    """The hold of one service on its database.

    Raises:
        SweeperError: another one has it.
        DatabaseError: it cannot be reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hold = contextlib.ExitStack()
        self._stop = threading.Event()
        self._replaced: SweeperError | None = None
        self._held: Held | None = self._take()

    def look(self) -> None:
        """See that the lock is held, and take it again where it is gone and nobody has it.

        Raises:
            SweeperError: another one has taken it.
            DatabaseError: the database is away.
        """
        if self._held is not None:
            try:
                self._held.check()
            except DatabaseError:
                self._held = None
                self._hold.close()
        if self._held is None:
            self._held = self._take()

    def watch(self, replaced: Callable[[], None]) -> None:
        """Look again and again, until `stop` or until another one has it, which is told."""
        why = ""
        while not self._stop.wait(LOOK_EVERY):
            try:
                self.look()
                why = ""
            except DatabaseError as error:
                if str(error) != why:
                    log.warning("whether no other service is at work cannot be seen: %s", error)
                why = str(error)
            except SweeperError as error:
                self._replaced = error
                replaced()
                return

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def close(self) -> None:
        """Let go of it.

        Raises:
            SweeperError: another one has it.
        """
        self._hold.close()
        if self._replaced is not None:
            raise self._replaced

    def _take(self) -> Held:
        held = self._hold.enter_context(self._database.lock(_LOCK))
        if not held:
            self._hold.close()
            raise SweeperError(
                f"another `sweeper serve` is at work on {without_user(self._database.url)}: one "
                "serves everybody"
            )
        return held
