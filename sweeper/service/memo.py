"""Answers that take a moment to work out, kept for whoever asks the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

KEPT = 128
"""Answers that are kept; the one that nobody asked for longest goes first."""

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
