"""What a sweep takes on disk, and of what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sweeper.home import SweepFolder
from sweeper.wording import in_bytes


@dataclass(frozen=True)
class Disk:
    """Bytes of a sweep's files, all of them and those of its trials by what they are."""

    total: int
    checkpoints: int
    generators: int
    samples: int

    def in_words(self) -> str:
        """`2.1 GB: checkpoints 1.8 GB, generators 270 MB, samples 31 MB`; the largest first."""
        kinds = {kind: size for kind, size in asdict(self).items() if kind != "total" and size}
        told = sorted(kinds.items(), key=lambda item: -item[1])
        parts = ", ".join(f"{kind} {in_bytes(size)}" for kind, size in told)
        return in_bytes(self.total) + (f": {parts}" if parts else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        return asdict(self)


def disk_of(folder: SweepFolder) -> Disk:
    """What the folder of a sweep takes now, while it may run. What goes meanwhile is left out."""
    sizes = {"total": 0, "checkpoints": 0, "generators": 0, "samples": 0}
    seen: set[int] = set()
    for entry in _files(str(folder.path)):
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if facts.st_nlink > 1:  # a checkpoint that is kept for others has two names
            if facts.st_ino in seen:
                continue
            seen.add(facts.st_ino)
        sizes["total"] += facts.st_size
        if (kind := _kind(entry)) in sizes:
            sizes[kind] += facts.st_size
    return Disk(**sizes)


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


def _kind(entry: os.DirEntry[str]) -> str:
    name = entry.name.removeprefix("previous_")
    if name.startswith("checkpoint."):
        return "checkpoints"
    if name.startswith("generator."):
        return "generators"
    folder = os.path.dirname(entry.path)
    return "samples" if os.path.basename(folder) == "samples" else ""
