"""Decoded images on disk: written once, mapped into memory ever after.

An entry is a folder of `.npy` files with a description, named by a hash of what the source files
hold (`trials.data.identity`), of their names and of every option. It is built under another name
and renamed when complete, so that a process killed in the middle leaves nothing that is ever read;
the loser of two processes that build it together throws its own away. A lock saves the second one
the work where the file system has locks, and correctness does not depend on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import PIL

from trials.data.content import Content, Labels, Reading, fingerprint, names_for
from trials.data.faults import SettingError
from trials.data.holdout import held_out
from trials.data.identity import changed, digests
from trials.data.intake import Intake
from trials.data.npy import Npy
from trials.data.resize import RESIZE_RULE
from trials.errors import DataError
from trials.files import alone

log = logging.getLogger(__name__)

LAYOUT = 2
"""Raised when entries change their form, so that old ones are left alone."""

STALE_SECONDS = 24 * 3600
"""An unfinished entry older than this was left by a process that died."""

FORGOTTEN_SECONDS = 90 * 24 * 3600
"""What a machine remembers of files is dropped when it is older: then they are read once more."""

MEMORY = ".known.json"
"""How a file is called that holds what files hold."""

BLOCK = 1024


class Decodable(Protocol):
    """A source of images in files: see `FileSource`."""

    key: ClassVar[str]
    most_bytes: ClassVar[int | None]

    @property
    def holdout(self) -> float: ...
    @property
    def origin(self) -> str: ...
    def options(self) -> dict[str, Any]: ...
    def files(self) -> list[Path]: ...
    def read(self, files: Sequence[Path]) -> Reading: ...


def decoded(source: Decodable, cache: Path | None) -> Content:
    """The content of `source`, from `cache` or decoded into it.

    Without a cache the images are mapped from a nameless temporary file.

    Raises:
        DataError: the source is wrong, or the cache cannot be written.
    """
    files = source.files()
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="decoded-") as folder:
            return _open(_build(source, files, Path(folder)))
    home = cache / "data"
    memory = _memory(home, f"{source.key}-{_hash(source.options())}")
    held = digests(files, memory, most=source.most_bytes)
    entry = home / key(source, files, held)
    content = _trusted(entry)
    if content is not None:
        return content
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the cache {home} cannot be made: {error.strerror}") from error
    with alone(home / f"{entry.name}.lock"):
        content = _trusted(entry)
        if content is None:
            _discard_stale(home)
            unfinished = home / f".{entry.name}.{uuid.uuid4().hex}"
            built = _build(source, files, unfinished, unread=held.count(None))
            # Mapped before it has its name: what another process does to the name is no concern.
            content = _open(built)
            if held != digests(files, memory, most=source.most_bytes):
                shutil.rmtree(built, ignore_errors=True)
                raise changed(os.path.commonpath(files))
            _publish(built, entry)
    return content


def key(source: Decodable, files: Sequence[Path], held: Sequence[str | None]) -> str:
    """The name of the entry for these files, which hold what `held` says, read as the options say.

    A source that is not ours may read otherwise in another version.
    """
    parts = {
        "layout": LAYOUT,
        "options": source.options(),
        "files": [
            [os.path.abspath(file), digest] for file, digest in zip(files, held, strict=True)
        ],
        "rule": RESIZE_RULE,
        "pillow": PIL.__version__,
        "origin": source.origin,
    }
    return f"{source.key}-{_hash(parts)}"


def _hash(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=os.fspath)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _memory(home: Path, name: str) -> Path:
    """Where this machine remembers what files hold: their marks mean nothing on another one."""
    return home / f"{name}.{_hash({'machine': platform.node()})[:8]}{MEMORY}"


def _build(
    source: Decodable, files: Sequence[Path], folder: Path, *, unread: int | None = None
) -> Path:
    """Decode everything into `folder`, which no other process reads.

    `unread` files could not be read before, where that is known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        reading = source.read(files)
        _require_space(folder, reading, source.holdout)
        log.info("decoding up to %d images from %s", reading.total, files[0].parent)
        everything = Npy(folder / "images.npy", reading.shape)
        with everything:
            labels = _copy(reading, everything)
        if unread is not None and reading.tally.unread != unread:
            raise changed(os.path.commonpath(files))
        if everything.count == 0:
            skipped = reading.tally.skipped
            raise SettingError(
                "path",
                f"{files[0]} holds no images" + (f" ({skipped} skipped)" if skipped else ""),
                "at least one image",
            )
        names = () if labels is None else names_for(labels, reading.class_names, str(files[0]))
        mask = held_out(everything.count, source.holdout)
        if mask.all():
            raise SettingError("holdout", "leaves nothing to train on", "more than one image")
        if mask.any():
            _split(folder, mask, reading.shape)
        if labels is not None:
            with Npy(folder / "labels.npy", (), "<i8") as column:
                column.append(labels[~mask])
        facts = {
            "fingerprint": fingerprint(
                (everything.count, *reading.shape), everything.digest, labels, source.holdout
            ),
            "class_names": names,
            "intake": reading.tally.intake().as_dict(),
            "sha256": _contents(folder, sorted(file.name for file in folder.glob("*.npy"))),
        }
        _write_durably(folder / "entry.json", json.dumps(facts).encode())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _copy(reading: Reading, images: Npy) -> Labels | None:
    marks: list[Labels] = []
    for block in reading.blocks:
        images.append(block.images)
        if block.labels is not None:
            marks.append(block.labels)
    return np.concatenate(marks) if marks else None


def _split(folder: Path, mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> None:
    """Part `images.npy` into what is trained on and `held_out.npy`."""
    whole = folder / "whole.npy"
    (folder / "images.npy").rename(whole)
    images = np.load(whole, mmap_mode="r", allow_pickle=False)
    with (
        Npy(folder / "images.npy", shape) as trained,
        Npy(folder / "held_out.npy", shape) as kept,
    ):
        for start in range(0, len(images), BLOCK):
            block, chosen = images[start : start + BLOCK], mask[start : start + BLOCK]
            trained.append(block[~chosen])
            kept.append(block[chosen])
    whole.unlink()


def _require_space(folder: Path, reading: Reading, holdout: float) -> None:
    needed = reading.total * int(np.prod(reading.shape)) * (2 if holdout else 1)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"decoding up to {reading.total} images of shape {reading.shape} needs "
            f"{needed / 1e9:.1f} GB in {folder.parent}, {free / 1e9:.1f} GB are free"
        )


def _publish(built: Path, entry: Path) -> None:
    """Give a complete entry its name, in place of one that is damaged."""
    if entry.exists() and _trusted(entry) is None:
        damaged = entry.with_name(f".{entry.name}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            entry.rename(damaged)
            shutil.rmtree(damaged, ignore_errors=True)
    try:
        built.rename(entry)
    except OSError:
        if _trusted(entry) is None:
            raise
        shutil.rmtree(built, ignore_errors=True)
    folder = os.open(entry.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _trusted(entry: Path) -> Content | None:
    """The content of an entry, or None where it is missing or not as it was written."""
    try:
        sha256 = json.loads((entry / "entry.json").read_bytes())["sha256"]
        if sha256 != _contents(entry, sha256, _memory(entry.parent, entry.name)):
            return None
        return _open(entry)
    except MemoryError:
        raise
    except Exception:
        # Damaged bytes make NumPy's reader raise almost anything; the entry is built again.
        return None


def _open(entry: Path) -> Content:
    facts = json.loads((entry / "entry.json").read_bytes())
    names = facts["sha256"]

    def mapped(name: str) -> npt.NDArray[Any]:
        # Copy on write: torch wants memory that it may write to, the file stays as it is.
        array: npt.NDArray[Any] = np.load(entry / name, mmap_mode="c", allow_pickle=False)
        return array

    return Content(
        items=mapped("images.npy"),
        labels=np.array(mapped("labels.npy")) if "labels.npy" in names else None,
        held_out=mapped("held_out.npy") if "held_out.npy" in names else None,
        fingerprint=facts["fingerprint"],
        class_names=tuple(facts["class_names"]),
        intake=Intake.from_dict(facts["intake"]),
    )


def _contents(
    folder: Path, names: Iterable[str], memory: Path | None = None
) -> dict[str, str | None]:
    """What the files of an entry hold."""
    files = [folder / name for name in names]
    return dict(zip((file.name for file in files), digests(files, memory), strict=True))


def _discard_stale(home: Path) -> None:
    for pattern, seconds in ((".*", STALE_SECONDS), (f"*{MEMORY}", FORGOTTEN_SECONDS)):
        for left in home.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime <= seconds:
                    continue
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
