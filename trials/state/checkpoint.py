"""Exact save and restore: what a trial needs to go on as if it had never been stopped.

One file and the one before it, each put in its place by one rename, so that a kill at any
instruction leaves a whole checkpoint, and a disk that damages the newest leaves the one before it,
from which the same steps are trained again to the same bits. A checkpoint holds tensors and plain
values only and is read with `weights_only`: nothing in it is executed.
"""

from __future__ import annotations

import errno
import secrets
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trials.errors import CheckpointError
from trials.files import also_name, atomic_write, remove, temporary_of
from trials.state.names import PREVIOUS

FORMAT = 2

ANEW = "delete it, and the training starts anew"


class DamagedError(CheckpointError):
    """What lies there is no whole checkpoint."""


class Recovered(NamedTuple):
    """The newest whole `state`, None where there is none, and the `damage` that was met, in
    sentences."""

    state: dict[str, Any] | None
    damage: tuple[str, ...]


def previous(path: Path) -> Path:
    """Where the checkpoint lies that came before the one at `path`."""
    return path.with_name(f"{PREVIOUS}{path.name}")


def save(path: Path, fingerprint: str, state: dict[str, Any]) -> None:
    """Put a checkpoint at `path`; what lay there, which must be whole, is the previous one now.

    There are never more than two, also while the new one is written.

    Raises:
        OSError: it cannot be written (a full disk); the one at `path` stays what it was.
    """
    content = {"format": FORMAT, "fingerprint": fingerprint, "state": state}
    if path.is_file():
        also_name(path, previous(path))
    atomic_write(path, lambda temporary: _write(content, temporary))


def forget(path: Path) -> None:
    """Remove both checkpoints."""
    for file in (path, previous(path)):
        _out_of_the_way(file)


def recover(path: Path, fingerprints: Collection[str]) -> Recovered:
    """The checkpoint at `path`, or the one before it where that is missing or damaged.

    What is damaged is gone afterwards, so that it cannot become the previous one.

    Raises:
        CheckpointError: it cannot be read, or is of another format or configuration.
    """
    damage = []
    for file in (path, previous(path)):
        try:
            state = load(file, fingerprints)
        except DamagedError as error:
            damage.append(str(error))
            _out_of_the_way(file)
            continue
        if state is not None:
            return Recovered(state, tuple(damage))
    return Recovered(None, tuple(damage))


def load(path: Path, fingerprints: Collection[str] | None) -> dict[str, Any] | None:
    """The state saved at `path`, or None where there is no checkpoint.

    `fingerprints` are those that its configuration may have; None takes any configuration's.

    Raises:
        DamagedError: it was cut or changed, or is something else.
        CheckpointError: it cannot be read, or is of another format or configuration.
    """
    if not path.exists():
        return None
    content = _read(path)
    if not isinstance(content, dict) or not {"format", "fingerprint", "state"} <= content.keys():
        raise DamagedError(f"{path}: this is no checkpoint")
    if content["format"] != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of format {FORMAT}; {ANEW}")
    if fingerprints is not None and content["fingerprint"] not in fingerprints:
        raise CheckpointError(
            f"{path}: the checkpoint belongs to another configuration; train this one in another"
            f" folder, or {ANEW}"
        )
    state: dict[str, Any] = content["state"]
    return state


def _write(content: Any, file: Path) -> None:
    try:
        with file.open("wb") as stream:  # into a path, torch would not say what the system did
            torch.save(content, stream)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _read(path: Path) -> Any:
    """What `path` holds, once all of its checksums are right: torch looks at none of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile("wrong checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.EISDIR, errno.EIO):
            raise DamagedError(f"{path}: the checkpoint is damaged ({reason})") from error
        raise CheckpointError(f"{path}: the checkpoint cannot be read: {reason}") from error
    except Exception as error:
        # Damaged bytes make the unpickler raise almost anything; torch's own words advise to
        # unpickle without weights_only, which is the last thing to do with a damaged file.
        reason = str(error) if isinstance(error, zipfile.BadZipFile) else type(error).__name__
        raise DamagedError(f"{path}: the checkpoint is damaged ({reason})") from error


def _out_of_the_way(path: Path) -> None:
    """Remove what lies at `path`; a folder, which may hold anything, gets another name.

    Raises:
        TakenOver: the folder is written through a room that is gone (`writing_through`).
    """
    if not path.is_dir() or path.is_symlink():
        remove(path)
        return
    with temporary_of(path) as temporary:
        path.rename(temporary)
        temporary.rename(path.with_name(f"{path.name}.{secrets.token_hex(4)}.folder"))
