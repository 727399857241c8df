"""Arrays kept on disk under a hash of everything that determines them.

The files are npz without pickled objects, written under a temporary name and moved into place:
a killed writer leaves nothing half-written, and two writers of one key do no harm. Where the file
system has locks the second waits, and finds what the first has written, on another machine too.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trials.files import alone, atomic_write

Arrays = Mapping[str, NDArray[Any]]

FACTS = "facts"
"""The name under which a file holds what its arrays depend on."""


def cached(
    folder: Path | None, facts: Mapping[str, object], compute: Callable[[], Arrays]
) -> Arrays:
    """What `compute` returns for these `facts`, from `folder` where it lies there already.

    `facts` must be JSON and name everything that the arrays depend on; a file holds them, too. One
    that cannot be read (cut off, from a failing disk), or that came under the name of another, is
    computed again and replaced. Without a folder nothing is kept.
    """
    if folder is None:
        return compute()
    text = json.dumps(facts, sort_keys=True)
    path = folder / f"{facts['part']}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    if (kept := _read(path, text)) is not None:
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with alone(path.with_suffix(".lock")):
        if (kept := _read(path, text)) is not None:
            return kept
        arrays = compute()
        _write(path, {**arrays, FACTS: np.array(text)})
        return arrays


def _read(path: Path, text: str) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file, if they are those of these facts."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            kept = {name: archive[name] for name in archive.files}
    except MemoryError:
        raise
    except Exception:
        # Damaged bytes make the readers of archives and arrays raise almost anything.
        return None
    # Files of former versions hold no facts: their name has to do.
    return kept if str(kept.pop(FACTS, text)) == text else None


def _write(path: Path, arrays: Arrays) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    atomic_write(path, content.getvalue())
