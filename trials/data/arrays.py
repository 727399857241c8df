"""Images that lie in files as plain numbers: read in blocks, brought to one size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from trials.data.faults import SettingError
from trials.data.resize import Pixels

MAX_SIDE = 8192
"""A header that claims a longer side is damaged or hostile."""

BLOCK_BYTES = 2**24


class Readable(Protocol):
    """A binary file, or a stream out of an archive."""

    def read(self, size: int, /) -> bytes: ...


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


def blocks(stream: Readable, count: int, item: tuple[int, ...], place: str) -> Iterator[Pixels]:
    """`count` items of bytes, as blocks (n, *item) of a few megabytes.

    Raises:
        SettingError: the stream ends before, or goes on after them.
    """
    width = int(np.prod(item))
    step = max(1, BLOCK_BYTES // width)
    for start in range(0, count, step):
        rows = min(step, count - start)
        data = exactly(stream, rows * width, place)
        yield np.frombuffer(data, np.uint8).reshape(rows, *item)
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
