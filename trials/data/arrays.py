"""Images that lie in files as plain numbers: read in blocks, brought to one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trials.data.faults import SettingError
from trials.data.resize import Pixels

MAX_SIDE = 8192
"""A header that claims a longer side is damaged or hostile."""

BLOCK_BYTES = 2**24


ROUNDING = 1e-3
"""So far beyond a range a float may lie: what arithmetic of few digits leaves there."""


class Readable(Protocol):
    """A binary file, or a stream out of an archive."""

    def read(self, size: int, /) -> bytes: ...


class Scale(NamedTuple):
    """How floats from `low` to 1 become bytes; `rule` in words."""

    low: int
    rule: str

    def __call__(self, values: npt.NDArray[Any]) -> Pixels:
        """round(255 (v − low) / (1 − low)), clamped to 0 … 255."""
        levels = np.rint((values.astype(np.float64) - self.low) * (255 / (1 - self.low)))
        pixels: Pixels = levels.clip(0, 255).astype(np.uint8)
        return pixels


def scale_of(blocks: Iterable[npt.NDArray[Any]], knob: str, place: str) -> Scale:
    """The scale of floats: [−1, 1] where any value is negative, else [0, 1].

    Raises:
        SettingError: values lie outside, or are no numbers.
    """
    low, high, kind = np.inf, -np.inf, ""
    for block in blocks:
        # NaN, too, must fail the comparison below.
        low, high = np.minimum(low, block.min()), np.maximum(high, block.max())
        kind = block.dtype.newbyteorder("=").name
    if not (low >= -1 - ROUNDING and high <= 1 + ROUNDING):
        raise SettingError(
            knob,
            f"{place} holds values from {low:g} to {high:g}",
            "floats in [0, 1] or [-1, 1], or bytes",
        )
    if low < -ROUNDING:
        return Scale(-1, f"{kind} in [-1, 1] as round(127.5 (v + 1))")
    return Scale(0, f"{kind} in [0, 1] as round(255 v)")


def square_side(count: int, height: int, width: int, size: int | None, place: str) -> int:
    """The side that `count` images of `height` × `width` will have.

    Raises:
        SettingError: there are none, the header is nonsense, or the images are no squares and
            no size is given.
    """
    if count == 0:
        raise SettingError("path", f"{place} holds no images", "at least one image")
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise SettingError(
            "path", f"{place} claims images of {height} × {width} pixels", f"1 to {MAX_SIDE} each"
        )
    if size is None and height != width:
        raise SettingError(
            "size", f"images in {place} are {height} × {width} pixels", "squares, or a size"
        )
    return size or height


def blocks(
    stream: Readable,
    count: int,
    item: tuple[int, ...],
    place: str,
    dtype: npt.DTypeLike = np.uint8,
) -> Iterator[npt.NDArray[Any]]:
    """`count` items of numbers, bytes by default, as blocks (n, *item) of a few megabytes.

    Raises:
        SettingError: the stream ends before, or goes on after them.
    """
    width = int(np.prod(item)) * np.dtype(dtype).itemsize
    step = max(1, BLOCK_BYTES // width)
    for start in range(0, count, step):
        rows = min(step, count - start)
        data = exactly(stream, rows * width, place)
        yield np.frombuffer(data, dtype).reshape(rows, *item)
    if stream.read(1):
        raise SettingError("path", f"{place} goes on after its {count} images", "nothing more")


def exactly(stream: Readable, count: int, place: str) -> bytes:
    """The next `count` bytes.

    Raises:
        SettingError: there are fewer.
    """
    parts, missing = [], count
    while missing:
        part = stream.read(missing)
        if not part:
            raise SettingError("path", f"{place} is cut off", f"{missing} bytes more")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
