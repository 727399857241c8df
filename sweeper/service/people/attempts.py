"""How often an address may try a wrong token."""

from __future__ import annotations

import time
from collections import OrderedDict, deque

from sweeper.service.problem import Refusal

ALLOWED = 10
"""Failures of one address within `WINDOW` seconds, after which it is told to wait."""
WINDOW = 60.0

_ADDRESSES = 10_000
"""Addresses that are remembered; the one that failed longest ago is forgotten first."""


class Attempts:
    """Counts failures by address, in memory: a restart forgives."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> None:
        """Note one more failure.

        Raises:
            Refusal: this address has failed too often; status 429.
        """
        recent = self._recent(address)
        if len(recent) >= ALLOWED:
            wait = max(1, round(recent[0] + WINDOW - time.monotonic()))
            raise Refusal(
                429,
                "too-many-attempts",
                f"Too many wrong tokens: try again in {wait} s.",
                headers={"retry-after": str(wait)},
            )
        recent.append(time.monotonic())
        self._failures[address] = recent
        self._failures.move_to_end(address)
        while len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)

    def _recent(self, address: str) -> deque[float]:
        recent = self._failures.get(address, deque())
        while recent and recent[0] < time.monotonic() - WINDOW:
            recent.popleft()
        return recent
