"""What is wrong with a configuration, as data: collected, then shown all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one dotted path, empty for the whole.

    `message` says what is wrong, `expected` what would have been right, `nearest` the
    valid name closest to the one given (empty where none is close). Where the text stands is known
    of what was read from one: `file` is its name, or the override (`--set optimizer.lr=…`), and
    `line` the line in it, from 1.
    """

    path: str
    message: str
    expected: str = ""
    nearest: str = ""
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = ": ".join(part for part in (place, self.path, self.message) if part)
        if self.expected:
            text += f" (expected {self.expected})"
        if self.nearest:
            text += f"; did you mean '{self.nearest}'?"
        return text


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice most like `name`, or an empty string where nothing is alike."""
    close = difflib.get_close_matches(str(name), list(choices), n=1, cutoff=0.6)
    return close[0] if close else ""
