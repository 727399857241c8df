"""What trials of each shape took, as all sweeps of a home have seen it: `HOME/cache/shares/`.

One small JSON file a shape holds what its last trials took. All of it is derived: where a file is
missing or damaged, the next trial of that shape is probed again. Two sweeps may write one at the
same time; the later one stays.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import RootModel, ValidationError

from sweeper.sharing.shares import Taken, most_of
from trials.files import atomic_write

KEPT = 4
"""Trials of a shape that are remembered: what was seen wrongly is forgotten after as many more."""

_Seen = RootModel[list[Taken]]


class Learnt:
    """What is known of shapes in one cache."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "shares"
        self._known: dict[str, Taken] = {}

    def of(self, shape: str) -> Taken | None:
        """The most that its last trials took; None where none was seen. What another process notes
        later is not seen by this one, before it notes something itself."""
        if shape not in self._known and (seen := self._read(shape)):
            self._known[shape] = most_of(seen)
        return self._known.get(shape)

    def note(self, shape: str, taken: Taken) -> None:
        """A trial of this shape took so much."""
        before = self._read(shape)
        seen = [*before, taken.after(before[-1]) if before else taken][-KEPT:]
        self._known[shape] = most_of(seen)
        with contextlib.suppress(OSError):  # where it cannot be kept, this process knows it
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic_write(self._folder / f"{shape}.json", _Seen(seen).model_dump_json())

    def _read(self, shape: str) -> list[Taken]:
        try:
            return _Seen.model_validate_json((self._folder / f"{shape}.json").read_bytes()).root
        except (OSError, ValidationError):
            return []
