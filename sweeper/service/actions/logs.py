"""The log of a trial, as far as it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sweeper.home import SweepFolder
from sweeper.secrets import redacted

BLOCK = 1 << 16
LONGEST = 1 << 20
"""Bytes at its end of which a tail is taken."""
WIDEST = 2000
"""Characters of a line that are shown."""


@dataclass(frozen=True)
class Lines:
    """Lines of a log, without their ends, and the place in the file after each of them."""

    lines: tuple[str, ...] = ()
    ends: tuple[int, ...] = ()
    after: int = 0
    """Where to go on reading."""


def log_of(folder: SweepFolder, number: int) -> Path:
    """Where the log of a trial is, or will be."""
    return folder.trial(number) / "log.txt"


def tail(log: Path, count: int, *, whole: bool = True) -> Lines:
    """The last `count` lines, none where there is no log yet; with `whole` also one that has no end
    yet."""
    size = _size(log)
    begin = max(0, size - LONGEST)
    read = _read(log, begin, size - begin, whole=whole)
    first = 1 if begin and read.lines else 0  # cut in its middle
    first = max(first, len(read.lines) - count)
    return Lines(read.lines[first:], read.ends[first:], read.after)


def further(log: Path, after: int, *, whole: bool = False) -> Lines:
    """Lines from a place on, as many as there are now within reason; with `whole` also a last one
    without its end. From the beginning where the log has been begun anew."""
    return _read(log, after if after <= _size(log) else 0, BLOCK, whole=whole)


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _read(log: Path, begin: int, count: int, *, whole: bool) -> Lines:
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return Lines(after=begin)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(begin)
        content = file.read(count)
    pieces = content.split(b"\n")
    last = pieces.pop()
    if last and (whole or (len(content) == count == BLOCK and not pieces)):  # as long as a block
        pieces.append(last)
    lines, ends, place = [], [], begin
    for piece in pieces:
        place = min(place + len(piece) + 1, begin + len(content))
        lines.append(_shown(piece.decode("utf-8", "replace").rstrip("\r")))
        ends.append(place)
    return Lines(tuple(lines), tuple(ends), place)


def _shown(line: str) -> str:
    """A line as people see it: not too long, which no reader of lines for secrets bears either."""
    return redacted(line if len(line) <= WIDEST else f"{line[:WIDEST]}…")
