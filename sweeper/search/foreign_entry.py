"""What other people have put into a study, as readers are told of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ForeignEntry:
    """An entry of the study that is not the sweep's own, and what it is, in words."""

    number: int
    state: str
    words: str
