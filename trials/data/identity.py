"""What files hold, as SHA-256: read once, and known again for as long as they are untouched.

A file is untouched while device, inode, size, time of change and time of change of its status
(ctime) are what they were. Name and time of change alone would not do: `cp -p`, `rsync -t` and
`utime` put other bytes behind the old ones. The last of the five is set by the system alone.

Clocks have ticks. A file that was changed in the last seconds may change again without its times
telling, so it is not remembered yet (the rule of git's index for files as young as itself).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from trials.data.threads import readers
from trials.errors import DataError
from trials.files import atomic_write, opened_regular

SETTLED_SECONDS = 3.0
"""The coarsest clock of a file system in use ticks every two seconds."""

TRIES = 3
CHUNK = 2**20


class Digest(NamedTuple):
    """The SHA-256 of a file as `mark` knows it again; `settled` says that it may be remembered."""

    mark: str
    sha256: str
    settled: bool


def digests(
    files: Sequence[Path], memory: Path | None = None, *, most: int | None = None
) -> list[str | None]:
    """SHA-256 of each file; None of one that cannot be read, or is larger than `most` bytes.

    What is known already is remembered in the file `memory`, and only what is new is read.

    Raises:
        DataError: a file goes on changing while it is read.
    """
    known = _remembered(memory)
    found = [_known_at(file, known) for file in files]
    new = [place for place, digest in enumerate(found) if digest is None]
    with ThreadPoolExecutor(max_workers=readers()) as pool:
        read = pool.map(lambda place: _read(files[place], most), new)
        found = list(found)
        for place, digest in zip(new, read, strict=True):
            found[place] = digest
    settled = {digest.mark: digest.sha256 for digest in found if digest and digest.settled}
    if memory is not None and settled != known:
        # A cache that cannot be written to is only slow.
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(memory, json.dumps(settled))
    return [digest.sha256 if digest else None for digest in found]


def changed(place: Path | str) -> DataError:
    """The fault that data were not the same from the first byte to the last."""
    return DataError(f"{place} changed while it was read; try again when nothing writes to it")


def _known_at(file: Path, known: dict[str, str]) -> Digest | None:
    try:
        mark = _mark(os.stat(file))
    except OSError:
        return None
    return Digest(mark, known[mark], settled=True) if mark in known else None


def _read(file: Path, most: int | None) -> Digest | None:
    for _ in range(TRIES):
        try:
            with opened_regular(file) as stream:
                began, before = time.time(), os.fstat(stream.fileno())
                if most is not None and before.st_size > most:
                    return None
                sha256 = hashlib.sha256()
                missing = before.st_size  # and no more: a file that grows would have no end
                while missing and (part := stream.read(min(missing, CHUNK))):
                    sha256.update(part)
                    missing -= len(part)
                after = os.fstat(stream.fileno())
        except OSError:
            return None
        if _mark(before) == _mark(after):
            settled = before.st_ctime < began - SETTLED_SECONDS
            return Digest(_mark(before), sha256.hexdigest(), settled)
    raise changed(file)


def _mark(facts: os.stat_result) -> str:
    parts = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    return ":".join(map(str, parts))


def _remembered(memory: Path | None) -> dict[str, str]:
    """What a former call remembered; nothing where that is missing or damaged."""
    if memory is None:
        return {}
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
