"""Images that lie in files as plain numbers: read in blocks, brought to one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from trials.data.faults import SettingError
from trials.data.resize import Pixels

MAX_SIDE = 8192
"""A header that claims a longer side is damaged or hostile."""

BLOCK_BYTES = 2**24


ROUNDING = 1e-3
"""So far beyond a range, in shares of it, a float may lie: what arithmetic of few digits leaves."""

Floats = Literal["auto", "unit", "signed", "bytes"]
"""What the floats of an array mean."""

RANGES: Mapping[Floats, tuple[int, int]] = {"unit": (0, 1), "signed": (-1, 1), "bytes": (0, 255)}
FORMULAS = {"unit": "round(255 v)", "signed": "round(127.5 (v + 1))", "bytes": "round(v)"}


class Readable(Protocol):
    """A binary file, or a stream out of an archive."""

    def read(self, size: int, /) -> bytes: ...


class Scale(NamedTuple):
    """How floats from `low` to `high` become bytes; `rule` in words."""

    low: int
    high: int
    rule: str

    def __call__(self, values: npt.NDArray[Any]) -> Pixels:
        """round(255 (v − low) / (high − low)), clamped to 0 … 255."""
        factor = 255 / (self.high - self.low)
        levels = np.rint((values.astype(np.float64) - self.low) * factor)
        pixels: Pixels = levels.clip(0, 255).astype(np.uint8)
        return pixels


class Seen(NamedTuple):
    """The least and the greatest of some floats, and whether all are whole numbers."""

    low: float
    high: float
    whole: bool

    def within(self, meaning: Floats) -> bool:
        """Whether they lie in the range of a meaning; NaN lies nowhere."""
        low, high = RANGES[meaning]
        beyond = ROUNDING * (high - low)
        return bool(self.low >= low - beyond and self.high <= high + beyond)


def scale_of(blocks: Iterable[npt.NDArray[Any]], given: Floats, place: str) -> Scale:
    """The scale of floats, whose meaning is `given`, or follows from their values where that is
    `auto`:

    in [0, 1]                                   unit
    in [−1, 1], and some are negative           signed
    whole numbers in [0, 255]                   bytes

    Raises:
        SettingError: values lie outside or are no numbers, or may mean one thing or another.
    """
    low, high, whole, kind = np.inf, -np.inf, True, ""
    for block in blocks:
        # NaN, too, must fail the comparisons of `within`.
        low, high = np.minimum(low, block.min()), np.maximum(high, block.max())
        whole = whole and bool((block == np.rint(block)).all())
        kind = block.dtype.newbyteorder("=").name
    seen = Seen(float(low), float(high), whole)
    meaning = _meaning(seen, place) if given == "auto" else given
    if not seen.within(meaning):
        bottom, top = RANGES[meaning]
        raise SettingError(
            "floats",
            f"{place} holds values from {low:g} to {high:g}",
            f"values in [{bottom}, {top}], as floats: {meaning} says",
        )
    bottom, top = RANGES[meaning]
    return Scale(bottom, top, f"{kind} in [{bottom}, {top}] as {FORMULAS[meaning]}")


def _meaning(seen: Seen, place: str) -> Floats:
    if seen.within("unit"):
        return "unit"
    if seen.within("signed"):
        return "signed"
    told = f"{place} holds values from {seen.low:g} to {seen.high:g}"
    if not seen.within("bytes"):
        expected = "floats in [0, 1] or [-1, 1], or whole numbers in [0, 255]"
        raise SettingError("images_key", told, expected)
    if not seen.whole:
        raise SettingError(
            "floats",
            f"{told}, not all whole: of 0 to 255, or of another range",
            "floats: bytes, where they are of 0 to 255; else an array that is scaled to [0, 1]",
        )
    return "bytes"


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
