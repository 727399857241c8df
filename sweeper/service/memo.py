"""Answers that take a moment to work out, kept for whoever asks the same."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

KEPT = 128
"""Answers that are kept; the one that nobody asked for longest goes first."""

BYTES = 64 << 20
"""Of whole answers that are kept."""

Answer = TypeVar("Answer")
_MISSING = object()


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Any = _MISSING


class Memo:
    """Keeps answers by what they follow from; of those who ask for one at once, one works."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """What `make` gave for this key, now or before. What it raises is kept by nobody."""
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        with kept.lock:
            if kept.answer is _MISSING:
                kept.answer = make()
            return cast(Answer, kept.answer)


@dataclass(frozen=True)
class Sent:
    """A whole answer."""

    body: bytes
    headers: Mapping[str, str]


class Answers:
    """Keeps whole answers by their entity tags; of those who ask for one at once, one has it made.
    For the one event loop of the server."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Sent] = OrderedDict()
        self._bytes = 0
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, tag: str, make: Callable[[], Awaitable[Sent]]) -> Sent:
        """The answer of this tag, made now or before. What `make` raises is kept by nobody."""
        if (known := self._known(tag)) is not None:
            return known
        async with self._making.setdefault(tag, asyncio.Lock()):
            if (known := self._known(tag)) is None:
                known = await make()
                self._keep(tag, known)
            return known

    def _known(self, tag: str) -> Sent | None:
        known = self._kept.get(tag)
        if known is not None:
            self._kept.move_to_end(tag)
        return known

    def _keep(self, tag: str, sent: Sent) -> None:
        self._kept[tag] = sent
        self._bytes += len(sent.body)
        while self._bytes > BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1].body)
