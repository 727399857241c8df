"""How often a call to MLflow may fail before it is given up.

MLflow away for an hour is no failure of any call. But one call that keeps failing while the store
is well otherwise would hold up all the rest for ever, so it counts as refused in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from sweeper.tracking.store import Refused, Store, Unreachable

PATIENCE = 10
"""Failures of one and the same call, while the store is well otherwise, until it is set aside."""

T = TypeVar("T")


class Patience:
    """Counts the failures of each call to one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._strikes: Counter[tuple[int, str]] = Counter()

    def attempt(self, number: int, what: str, call: Callable[[], T], limit: int = PATIENCE) -> T:
        """The result of `call()`, which does `what` for run `number`.

        Raises:
            Unreachable: it failed; try again later.
            Refused: it never works, or has failed `limit` times while the store was well.
            Gone: there is no such run.
        """
        try:
            result = call()
        except Unreachable as error:
            self._strikes[number, what] += 1
            strikes = self._strikes[number, what]
            if strikes >= limit and self._store.answers():
                raise Refused(f"{error} (tried {strikes} times)") from error
            raise
        self._strikes.pop((number, what), None)
        return result
