"""What a sweep takes on disk, and of what; `bucket.usage` says it of a bucket."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sweeper.home import SweepFolder
from sweeper.wording import in_bytes
from trials.state.names import kind_of

PATIENCE = 0.3
"""Seconds: thousands of trials on a local disk, fewer on one that is far away."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of a sweep's files, all of them and those of its trials by what they are."""

    total: int
    checkpoints: int
    generators: int
    samples: int

    def in_words(self) -> str:
        """`2.1 GB: checkpoints 1.8 GB, generators 270 MB, samples 31 MB`; the largest first."""
        kinds = {kind: getattr(self, kind) for kind in ("checkpoints", "generators", "samples")}
        told = sorted(kinds.items(), key=lambda item: -item[1])
        parts = ", ".join(f"{kind} {in_bytes(size)}" for kind, size in told if size)
        return in_bytes(self.total) + (f": {parts}" if parts else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        return asdict(self)


@dataclass(frozen=True)
class Disk(Sizes):
    """What lies in a sweep's folder. Where that is not the `whole`, there is more: whoever asked
    would not wait for it."""

    whole: bool = True

    def in_words(self) -> str:
        return ("" if self.whole else "more than ") + super().in_words()


def disk_of(folder: SweepFolder, patience: float = PATIENCE) -> Disk:
    """What the folder of a sweep takes now, while it may run; or at least what is found within so
    many seconds. What goes meanwhile is left out."""
    end = time.monotonic() + patience
    sizes: Counter[str] = Counter()
    whole = True
    seen: set[int] = set()
    for count, entry in enumerate(_files(str(folder.path))):
        if count % 100 == 99 and time.monotonic() > end:
            whole = False
            break
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if facts.st_nlink > 1:  # a checkpoint that is kept for others has two names
            if facts.st_ino in seen:
                continue
            seen.add(facts.st_ino)
        sizes[kind_of(entry.path)] += facts.st_size
    total = sum(sizes.values())
    return Disk(total, sizes["checkpoints"], sizes["generators"], sizes["samples"], whole)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(entry.path)
                else:
                    yield entry
    except OSError:  # gone by now, or not ours to read
        return
