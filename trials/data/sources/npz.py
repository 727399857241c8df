"""Images and labels in a NumPy archive, `np.savez(file, images=…, labels=…)`.

Never unpickled, and streamed out of the archive, so that memory is bounded.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from trials.data.arrays import Floats, Scale, blocks, scale_of, square_side
from trials.data.content import Block, Reading, as_labels
from trials.data.examples import pictures
from trials.data.faults import SettingError, at_hand, require_file
from trials.data.file_source import FileSource
from trials.data.intake import Tally
from trials.data.pickles import refuse_pickle
from trials.data.resize import fit_arrays
from trials.data.source import Channels, DataPath, Size
from trials.errors import reason_of
from trials.part import knob
from trials.problems import nearest

EXPECTED = "an .npz archive of NumPy"
SHAPES = (
    "uint8, or floats in [0, 1], [-1, 1] or [0, 255], of shape (N, H, W), (N, H, W, C) or "
    "(N, C, H, W) with C 1 or 3, in C order"
)


class Header(NamedTuple):
    """What an array in the archive says of itself."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


class Layout(NamedTuple):
    """How images lie in their array."""

    images: int
    channels: int
    height: int
    width: int
    channels_last: bool
    dtype: np.dtype[Any]


class Npz(FileSource):
    """Arrays of images and labels in an .npz archive."""

    key = "npz"
    summary = "arrays of images and labels in a NumPy archive"

    class Config(FileSource.Config):
        """The settings of a NumPy archive."""

        path: DataPath = knob(..., "the archive")
        images_key: str = knob("images", "key of the images, " + SHAPES)
        labels_key: str | None = knob(
            "labels", "key of the integer labels (N,); null for unlabelled images"
        )
        floats: Floats = knob(
            "auto",
            "what floats mean: unit is [0, 1], signed [-1, 1], bytes [0, 255]; auto tells it from "
            "their values",
        )
        size: Size | None = knob(None, "side of the images, in pixels; null to keep theirs")
        channels: Channels | None = knob(None, "3 for colour, 1 for grey; null to keep theirs")

    @property
    def labelled(self) -> bool:
        return self.config.labels_key is not None

    def item_shape(self) -> tuple[int, ...]:
        layout = self._layout()
        size, place = self.config.size, str(self.config.path)
        side = square_side(layout.images, layout.height, layout.width, size, place)
        return (self.config.channels or layout.channels, side, side)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return (self.item_shape, self._check_labels)

    def files(self) -> list[Path]:
        return [require_file(at_hand(self.config.path, "path"), "path", EXPECTED)]

    def read(self, files: Sequence[Path]) -> Reading:
        channels, side, _ = self.item_shape()
        self._check_labels()
        layout = self._layout()
        scale = None if layout.dtype == np.uint8 else self._scale(files[0], layout)
        tally = Tally(str(files[0]), layout.images, rule=scale.rule if scale else "")
        tally.taken(layout.width, layout.height, f"{layout.dtype} array", layout.images)
        return Reading(
            shape=(channels, side, side),
            total=layout.images,
            blocks=self._blocks(files[0], layout, (channels, side), scale),
            tally=tally,
        )

    def _scale(self, file: Path, layout: Layout) -> Scale:
        with self._member(file, self.config.images_key, "images_key") as stream:
            _header(stream)
            place = f"'{self.config.images_key}' in {file}"
            return scale_of(_planar(stream, layout, str(file)), self.config.floats, place)

    def _layout(self) -> Layout:
        header = self._header(self.config.images_key, "images_key")
        shape = header.shape
        place = f"'{self.config.images_key}' in {self.config.path}"
        dtype = header.dtype
        numbers = dtype == np.uint8 or dtype.kind == "f"
        if not numbers or header.fortran or len(shape) not in (3, 4):
            order = " in Fortran order" if header.fortran else ""
            raise SettingError(
                "images_key", f"{place} is {header.dtype} of shape {shape}{order}", SHAPES
            )
        if len(shape) == 3:
            return Layout(shape[0], 1, shape[1], shape[2], False, dtype)
        if shape[3] in (1, 3):
            return Layout(shape[0], shape[3], shape[1], shape[2], True, dtype)
        if shape[1] in (1, 3):
            return Layout(shape[0], shape[1], shape[2], shape[3], False, dtype)
        raise SettingError("images_key", f"{place} is {header.dtype} of shape {shape}", SHAPES)

    def _check_labels(self) -> None:
        key = self.config.labels_key
        if key is None:
            return
        header = self._header(key, "labels_key")
        count = self._layout().images
        if header.dtype.kind not in "iub" or header.shape not in ((count,), (count, 1)):
            raise SettingError(
                "labels_key",
                f"'{key}' in {self.config.path} is {header.dtype} of shape {header.shape}",
                f"integers of shape ({count},), or null for unlabelled images",
            )

    def _header(self, key: str, knob: str) -> Header:
        with self._member(self.files()[0], key, knob) as file:
            return _header(file)

    @contextlib.contextmanager
    def _member(self, file: Path, key: str, knob: str) -> Iterator[IO[bytes]]:
        """One array's stream, with the exceptions of archives turned into ours."""
        try:
            with zipfile.ZipFile(file) as archive:
                keys = [name.removesuffix(".npy") for name in archive.namelist()]
                if key not in keys:
                    raise SettingError(
                        knob,
                        f"{file} has no array '{key}'",
                        "one of " + ", ".join(keys),
                        nearest(key, keys),
                    )
                with archive.open(archive.namelist()[keys.index(key)]) as stream:
                    yield stream
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            refuse_pickle(file, EXPECTED)
            raise SettingError(
                "path", f"{file} is damaged: {reason_of(error)}", EXPECTED
            ) from error
        except (RuntimeError, NotImplementedError) as error:
            raise SettingError(
                "path", f"{file} cannot be unpacked: {reason_of(error)}", EXPECTED
            ) from error

    def _blocks(
        self, file: Path, layout: Layout, form: tuple[int, int], scale: Scale | None
    ) -> Iterator[Block]:
        """Blocks of images of `form`, channels and side."""
        channels, side = form
        labels = None
        if self.config.labels_key is not None:
            with self._member(file, self.config.labels_key, "labels_key") as stream:
                values = npy.read_array(stream, allow_pickle=False)
            labels = as_labels(values, "labels_key", str(file))
        start = 0
        with self._member(file, self.config.images_key, "images_key") as stream:
            _header(stream)
            for images in _planar(stream, layout, str(file)):
                part = None if labels is None else labels[start : start + len(images)]
                start += len(images)
                pixels = images if scale is None else scale(images)
                yield Block(fit_arrays(pixels, side, channels), part)

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        images, labels = pictures(seed, channels=3, side=16)
        file = folder / "pictures.npz"
        np.savez_compressed(file, images=np.moveaxis(images, 1, -1), labels=labels)
        return {"path": str(file)}


def _header(stream: IO[bytes]) -> Header:
    """Read past the header of a `.npy` stream.

    Raises:
        ValueError: it is none.
    """
    version = npy.read_magic(stream)
    if version == (1, 0):
        return Header(*npy.read_array_header_1_0(stream))
    if version == (2, 0):
        return Header(*npy.read_array_header_2_0(stream))
    raise ValueError(f"an array of format version {version}")


def _planar(stream: IO[bytes], layout: Layout, place: str) -> Iterator[npt.NDArray[Any]]:
    """Blocks (n, C, H, W)."""
    item = (layout.channels, layout.height, layout.width)
    if layout.channels_last:
        item = (layout.height, layout.width, layout.channels)
    for block in blocks(stream, layout.images, item, place, layout.dtype):
        yield np.moveaxis(block, -1, 1) if layout.channels_last else block
