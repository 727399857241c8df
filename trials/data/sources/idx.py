"""MNIST's own file format, as used by MNIST, Fashion-MNIST, EMNIST and others: plain or gzip.

Big-endian: two zero bytes, a type (8: unsigned byte), the number of dimensions, each dimension,
then the numbers (LeCun, Cortes & Burges, yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from trials.data.arrays import blocks, exactly, square_side
from trials.data.content import Block, Reading, as_labels
from trials.data.examples import pictures
from trials.data.faults import SettingError, at_hand, require_file
from trials.data.file_source import FileSource
from trials.data.intake import Tally
from trials.data.resize import fit_arrays
from trials.data.source import DataPath, DataSource, Size
from trials.part import knob

IMAGES_EXPECTED = "an idx file of images (magic number 0x00000803), or a folder with one"
LABELS_EXPECTED = "an idx file of labels (magic number 0x00000801)"
DEFLATE_LIMIT = 1040
"""More than this times its size no gzip file can unpack to."""


class Idx(FileSource):
    """Images and labels in MNIST's file format."""

    key = "idx"
    summary = "images and labels in MNIST's file format"

    class Config(FileSource.Config):
        """The settings of files in MNIST's format."""

        path: DataPath = knob(
            ..., "the file of images, or a folder with the training pair of MNIST"
        )
        labels: DataPath | None = knob(
            None, "the file of labels; null: beside the images in a folder, none for a file"
        )
        size: Size | None = knob(None, "side of the images, in pixels; null to keep theirs")
        fit: Literal["resize", "pad"] = knob(
            "resize", "how smaller images get to that size: enlarged, or with black around them"
        )

    @property
    def labelled(self) -> bool:
        if self.config.labels is not None:
            return True
        try:
            # os.path.isdir, unlike Path.is_dir, answers for every path, also a forbidden one.
            return os.path.isdir(at_hand(self.config.path, "path"))
        except SettingError:
            return False  # check_data says what is wrong

    def item_shape(self) -> tuple[int, ...]:
        file = self.files()[0]
        count, height, width = _dimensions(file, 3, "path", IMAGES_EXPECTED)
        side = square_side(count, height, width, self.config.size, str(file))
        return (1, side, side)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self.item_shape, self._check_labels)

    def test_split(self) -> DataSource.Config | None:
        place = at_hand(self.config.path, "path")
        if not place.is_dir():
            return None
        pair = {
            "path": _in_folder(place, "images", "t10k"),
            "labels": _in_folder(place, "labels", "t10k"),
        }
        apart: DataSource.Config = self.config.model_copy(update={**pair, "holdout": 0.0})
        return apart

    def files(self) -> list[Path]:
        place = at_hand(self.config.path, "path")
        folder = place.is_dir()
        images = _in_folder(place, "images") if folder else place
        files = [require_file(images, "path", IMAGES_EXPECTED)]
        if self.config.labels is not None:
            files.append(
                require_file(at_hand(self.config.labels, "labels"), "labels", LABELS_EXPECTED)
            )
        elif folder:
            files.append(require_file(_in_folder(place, "labels"), "path", LABELS_EXPECTED))
        return files

    def read(self, files: Sequence[Path]) -> Reading:
        channels, side, _ = self.item_shape()
        self._check_labels()
        count, height, width = _dimensions(files[0], 3, "path", IMAGES_EXPECTED)
        tally = Tally(str(files[0]), count)
        tally.taken(width, height, "uint8 array", count)
        return Reading(
            shape=(channels, side, side),
            total=count,
            blocks=_blocks(files, (count, height, width), side, pad=self.config.fit == "pad"),
            tally=tally,
        )

    def _check_labels(self) -> None:
        files = self.files()
        if len(files) == 1:
            return
        images, labels = files
        (count,) = _dimensions(labels, 1, "labels", LABELS_EXPECTED)
        total = _dimensions(images, 3, "path", IMAGES_EXPECTED)[0]
        if count != total:
            raise SettingError("labels", f"{labels} holds {count} labels", f"{total}, as {images}")

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        images, labels = pictures(seed, channels=1, side=16)
        head = bytes((0, 0, 8, 3)) + struct.pack(">3I", len(images), 16, 16)
        (folder / "images.gz").write_bytes(gzip.compress(head + images.tobytes()))
        head = bytes((0, 0, 8, 1)) + struct.pack(">I", len(labels))
        (folder / "labels").write_bytes(head + labels.astype(np.uint8).tobytes())
        return {"path": str(folder / "images.gz"), "labels": str(folder / "labels")}


def _blocks(
    files: Sequence[Path], shape: tuple[int, int, int], side: int, *, pad: bool
) -> Iterator[Block]:
    labels = None
    if len(files) > 1:
        with _unpacked(files[1], "labels") as stream:
            exactly(stream, 8, str(files[1]))
            parts = list(blocks(stream, shape[0], (1,), str(files[1])))
        if parts:
            labels = as_labels(np.concatenate(parts), "labels", str(files[1]))
    start = 0
    with _unpacked(files[0], "path") as stream:
        exactly(stream, 16, str(files[0]))
        for images in blocks(stream, shape[0], (1, *shape[1:]), str(files[0])):
            part = None if labels is None else labels[start : start + len(images)]
            start += len(images)
            yield Block(fit_arrays(images, side, channels=1, pad=pad), part)


def _dimensions(file: Path, rank: int, knob: str, expected: str) -> tuple[int, ...]:
    """The dimensions that the header gives, once they agree with the size of the file."""
    with _unpacked(file, knob) as stream:
        magic = exactly(stream, 4, str(file))
        if magic != bytes((0, 0, 8, rank)):
            raise SettingError(knob, f"{file} begins with 0x{magic.hex()}", expected)
        shape = struct.unpack(f">{rank}I", exactly(stream, 4 * rank, str(file)))
    claimed, size = 4 + 4 * rank + int(np.prod(shape, dtype=object)), file.stat().st_size
    if not _is_gzip(file) and claimed != size:
        raise SettingError(knob, f"{file} has {size} bytes", f"{claimed}, by its header")
    if claimed > size * DEFLATE_LIMIT:
        raise SettingError(knob, f"{file} claims {claimed} bytes and has {size}", expected)
    return shape


@contextlib.contextmanager
def _unpacked(file: Path, knob: str) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(file.open("rb"))
        if _is_gzip(file):
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        try:
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SettingError(knob, f"{file} is damaged: {error}", "a whole gzip file") from error


def _is_gzip(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _in_folder(
    folder: Path, what: Literal["images", "labels"], split: Literal["train", "t10k"] = "train"
) -> Path:
    """The training or test file of a folder, whatever separators its name uses."""
    files = sorted(folder.glob(f"*{split}-{what}[-.]idx?-ubyte*"))
    kind = {"train": "training", "t10k": "test"}[split]
    if not files:
        raise SettingError(
            "path", f"{folder} has no {kind} {what}", f"{split}-{what}-idx…-ubyte[.gz]"
        )
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise SettingError(
            "path", f"{folder} has several {kind} {what}: {names}", "the path of one"
        )
    return files[0]
