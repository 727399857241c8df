"""The digest of a study: its trials as readers have them, kept beside its journal.

    line 1   a `Header`: how much of the journal it was made from, and what holds of the study
    line 2   the heads of the trials (`stored_trial`)
    then     a body a line

It is derived, and never trusted over the journal: who reads it looks whether the journal still
begins with what it was made from, and reads what has been written since from there. Where it is
missing, damaged or of another version, the whole journal is read, and it is made anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Self

from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.stored_trial import StoredTrial, stored
from sweeper.trial import Trial
from trials.files import atomic_write

FORMAT = 3

_TAIL = 4096
"""Bytes before the end of what was read by which a journal is known."""


@dataclass
class Header:
    """`offset` bytes of the journal were read, `ours` operations of ours and `count` entries among
    them, which end in bytes whose hash is `tail`. `attrs` are the study's attributes, `open` its
    entries that are not over, `foreign` those of other people."""

    format: int = FORMAT
    name: str = ""
    offset: int = 0
    ours: int = 0
    count: int = 0
    tail: str = field(default_factory=lambda: _sum(b""))
    attrs: dict[str, Any] = field(default_factory=dict)
    open: list[dict[str, Any]] = field(default_factory=list)
    foreign: dict[str, list[Any]] = field(default_factory=dict)
    entries: list[int] = field(default_factory=list)
    protocols: list[dict[str, str]] = field(default_factory=list)


class Unlike(Exception):  # noqa: N818 - says what it is
    """The study holds something that a digest cannot follow: it is read as a whole."""


class Digest:
    """What was made of the first part of a journal. `trials` holds each with the number of its
    entry, by its own number."""

    def __init__(self, header: Header, trials: dict[int, tuple[int, Trial]]) -> None:
        self.header = header
        self.trials = trials

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The digest that lies at a path; None where there is none that is whole."""
        try:
            sum_, first, heads, *bodies = path.read_bytes().split(b"\n")
            if sum_.decode() != _sum(b"\n".join((first, heads, *bodies))):
                return None
            told = json.loads(first)
            if told["format"] != FORMAT:
                return None
            header = Header(**told)
            trials = [
                StoredTrial.decoded(head, body, header.protocols)
                for head, body in zip(json.loads(heads), bodies, strict=True)
            ]
        except (OSError, ValueError, TypeError, LookupError):
            return None
        pairs = zip(trials, header.entries, strict=True)
        return cls(header, {trial.number: (entry, trial) for trial, entry in pairs})

    def write(self, path: Path) -> None:
        """Put it at a path.

        Raises:
            OSError: it cannot be written.
        """
        header = self.header
        header.entries = [entry for entry, _ in self.trials.values()]
        told = [stored(trial, header.protocols) for _, trial in self.trials.values()]
        heads = [head for head, _ in told]
        lines = [_dumped(asdict(header)), _dumped(heads), *(body for _, body in told)]
        content = b"\n".join(lines)
        atomic_write(path, _sum(content).encode() + b"\n" + content)

    def fits(self, journal: BinaryIO) -> bool:
        """Whether it was made from what the journal begins with."""
        return tail_of(journal, self.header.offset) == self.header.tail

    @property
    def foreign(self) -> list[ForeignEntry]:
        """What other people have put into the study."""
        told = self.header.foreign
        return [ForeignEntry(int(number), *told[number]) for number in sorted(told, key=int)]


def tail_of(journal: BinaryIO, offset: int) -> str:
    """By what a journal is known whose first `offset` bytes were read."""
    start = max(0, offset - _TAIL)
    journal.seek(start)
    return _sum(journal.read(offset - start))


def _sum(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _dumped(told: Any) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()
