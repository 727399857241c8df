"""Sections that were made for one reader are there for the next, until the study has gone on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from markupsafe import Markup

from sweeper.service.readings import Reading

KEPT = 400
"""Sections that are kept; the one that nobody asked for longest goes first."""


class Drawn:
    """HTML by sweep, version of its study, and section. Of two that ask at once, one waits."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[str, Markup]] = OrderedDict()
        self._making: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, reading: Reading, key: str, make: Callable[[], Markup]) -> Markup:
        """What was made of this state of the study, else what `make` gives now."""
        place = (str(reading.folder.path), key)
        with self._lock:
            making = self._making.setdefault(place, threading.Lock())
        with making:
            version, content = self._kept.get(place, ("", Markup()))
            if version != reading.version:
                content = make()
                with self._lock:
                    self._kept[place] = (reading.version, content)
                    self._kept.move_to_end(place)
                    while len(self._kept) > KEPT:
                        old, _ = self._kept.popitem(last=False)
                        self._making.pop(old, None)
        return content
