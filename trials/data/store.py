"""Decoded images on disk: written once, mapped into memory ever after.

An entry is a folder of `.npy` files with a description, named by a hash of the source files'
names, sizes and times and of every option. It is built under another name and renamed when
complete, so that a process killed in the middle leaves nothing that is ever read; the loser of
two processes that build it together throws its own away. A lock saves the second one the work
where the file system has locks, and correctness does not depend on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import struct
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import PIL

from trials.data.content import Content, Labels, Reading, fingerprint, names_for
from trials.data.faults import SettingError
from trials.data.holdout import held_out
from trials.data.resize import RESIZE_RULE
from trials.errors import DataError

log = logging.getLogger(__name__)

LAYOUT = 1
"""Raised when entries change their form, so that old ones are left alone."""

STALE_SECONDS = 24 * 3600
"""An unfinished entry older than this was left by a process that died."""

BLOCK = 1024


class Decodable(Protocol):
    """A source of images in files: see `FileSource`."""

    key: ClassVar[str]

    @property
    def holdout(self) -> float: ...
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
    entry = home / key(source, files)
    content = _trusted(entry)
    if content is not None:
        return content
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the cache {home} cannot be made: {error.strerror}") from error
    with _lock(home / f"{entry.name}.lock"):
        content = _trusted(entry)
        if content is None:
            _discard_stale(home)
            built = _build(source, files, home / f".{entry.name}.{uuid.uuid4().hex}")
            # Mapped before it has its name: what another process does to the name is no concern.
            content = _open(built)
            _publish(built, entry)
    return content


def key(source: Decodable, files: Sequence[Path]) -> str:
    """The name of the entry for these files as they are now, read with these options."""
    state = []
    for file in files:
        facts = file.stat()
        state.append([os.path.abspath(file), facts.st_size, facts.st_mtime_ns])
    parts = {
        "layout": LAYOUT,
        "options": source.options(),
        "files": state,
        "rule": RESIZE_RULE,
        "pillow": PIL.__version__,
    }
    digest = hashlib.sha256(
        json.dumps(parts, sort_keys=True, default=os.fspath).encode()
    ).hexdigest()
    return f"{source.key}-{digest[:32]}"


def _build(source: Decodable, files: Sequence[Path], folder: Path) -> Path:
    """Decode everything into `folder`, which no other process reads."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        reading = source.read(files)
        _require_space(folder, reading, source.holdout)
        log.info("decoding up to %d images from %s", reading.total, files[0].parent)
        everything = _Npy(folder / "images.npy", reading.shape)
        with everything:
            labels = _copy(reading, everything)
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
            with _Npy(folder / "labels.npy", (), "<i8") as column:
                column.append(labels[~mask])
        facts = {
            "fingerprint": fingerprint(
                (everything.count, *reading.shape), everything.digest, labels, source.holdout
            ),
            "class_names": names,
            "skipped": reading.tally.skipped,
            "sizes": {file.name: file.stat().st_size for file in folder.glob("*.npy")},
        }
        _write_durably(folder / "entry.json", json.dumps(facts).encode())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _copy(reading: Reading, images: _Npy) -> Labels | None:
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
        _Npy(folder / "images.npy", shape) as trained,
        _Npy(folder / "held_out.npy", shape) as kept,
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
        return _open(entry)
    except MemoryError:
        raise
    except Exception:
        # Damaged bytes make NumPy's reader raise almost anything; the entry is built again.
        return None


def _open(entry: Path) -> Content:
    facts = json.loads((entry / "entry.json").read_bytes())
    sizes: dict[str, int] = facts["sizes"]
    for name, size in sizes.items():
        if (entry / name).stat().st_size != size:
            raise ValueError(f"{entry / name} does not have the size it was written with")

    def mapped(name: str) -> npt.NDArray[Any]:
        # Copy on write: torch wants memory that it may write to, the file stays as it is.
        array: npt.NDArray[Any] = np.load(entry / name, mmap_mode="c", allow_pickle=False)
        return array

    return Content(
        items=mapped("images.npy"),
        labels=np.array(mapped("labels.npy")) if "labels.npy" in sizes else None,
        held_out=mapped("held_out.npy") if "held_out.npy" in sizes else None,
        fingerprint=facts["fingerprint"],
        class_names=tuple(facts["class_names"]),
        skipped=facts["skipped"],
    )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        # Some network file systems have no locks: then two may decode at once, which is only slow.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _discard_stale(home: Path) -> None:
    for unfinished in home.glob(".*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - unfinished.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(unfinished, ignore_errors=True)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class _Npy:
    """A `.npy` file (version 1.0) that grows by appending; its count is set on closing.

    Written rather than mapped, so that a full disk is an exception and not a bus error.
    """

    HEADER = 128

    def __init__(self, path: Path, item: tuple[int, ...], dtype: str = "|u1") -> None:
        self.path = path
        self.count = 0
        self._item = item
        self._dtype = np.dtype(dtype)
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of all items."""
        return self._hash.hexdigest()

    def append(self, items: npt.NDArray[Any]) -> None:
        """Add items (n, *item)."""
        data = np.ascontiguousarray(items, self._dtype)
        if data.shape[1:] != self._item:
            raise ValueError(f"items of shape {data.shape[1:]} among those of {self._item}")
        flat = data.reshape(-1).view(np.uint8).data
        self._hash.update(flat)
        try:
            self._file.write(flat)
        except OSError as error:
            raise self._unwritable(error) from error
        self.count += len(data)

    def __enter__(self) -> _Npy:
        try:
            self._file = self.path.open("wb")
            self._file.write(bytes(self.HEADER))
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.closing(self._file):
            if raised[0] is not None:
                return
            try:
                self._file.seek(0)
                self._file.write(self._header())
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._unwritable(error) from error

    def _header(self) -> bytes:
        shape = (self.count, *self._item)
        facts = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        text = repr(facts).encode("latin1").ljust(self.HEADER - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"decoded images cannot be written to {self.path}: {error.strerror}")
