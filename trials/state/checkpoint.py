"""Exact save and restore: what a trial needs to go on as if it had never been stopped.

One file, replaced atomically, so that a kill at any instruction leaves the old checkpoint or the
new one, whole. It holds tensors and plain values only and is read with `weights_only`: nothing
in it is executed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from trials.errors import CheckpointError
from trials.files import atomic_write

FORMAT = 2

ANEW = "delete it, and the training starts anew"


def save(path: Path, fingerprint: str, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path`."""
    content = {"format": FORMAT, "fingerprint": fingerprint, "state": state}
    atomic_write(path, lambda temporary: torch.save(content, temporary))


def load(path: Path, fingerprints: Collection[str] | None) -> dict[str, Any] | None:
    """The state saved at `path`, or None where there is no checkpoint.

    `fingerprints` are those that its configuration may have; None takes any configuration's.

    Raises:
        CheckpointError: it is damaged, of another format, or of another configuration.
    """
    if not path.exists():
        return None
    content = _read(path)
    if (
        not isinstance(content, dict)
        or content.get("format") != FORMAT
        or not {"fingerprint", "state"} <= content.keys()
    ):
        raise CheckpointError(f"{path}: not a checkpoint of format {FORMAT}; {ANEW}")
    if fingerprints is not None and content["fingerprint"] not in fingerprints:
        raise CheckpointError(
            f"{path}: the checkpoint belongs to another configuration; train this one in another"
            f" folder, or {ANEW}"
        )
    state: dict[str, Any] = content["state"]
    return state


def _read(path: Path) -> Any:
    """What `path` holds, once all of its checksums are right: torch looks at none of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: the checkpoint cannot be read: {error}") from error
    except Exception as error:
        # Damaged bytes make the unpickler raise almost anything; torch's own words advise to
        # unpickle without weights_only, which is the last thing to do with a damaged file.
        reason = str(error) if isinstance(error, zipfile.BadZipFile) else type(error).__name__
        raise CheckpointError(f"{path}: the checkpoint is damaged ({reason}); {ANEW}") from error
