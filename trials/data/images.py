"""From encoded pictures to pixels: many at once, the corrupt ones counted."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from trials.data.content import Block
from trials.data.faults import SettingError
from trials.data.intake import UPPER_BYTE, Tally
from trials.data.resize import Pixels, fit, planes
from trials.data.threads import readers
from trials.errors import reason_of
from trials.files import obstacle, opened_regular

MAX_PIXELS = 2**26
"""A picture of more pixels (8192 × 8192) is taken for a decompression bomb."""

MAX_BYTES = 2**29
"""A file of more bytes is no picture of at most `MAX_PIXELS`, not even an unpacked one."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded. Pillow knows more, of which some run other programs."""

BLOCK = 256


class Encoded(NamedTuple):
    """One picture as it is stored; `picture` is None where a table has an empty cell."""

    where: str
    picture: bytes | Path | None
    label: int | None


class Corrupt(NamedTuple):
    """Why a picture cannot be decoded; `unread` where its file could not even be read."""

    reason: str
    unread: bool = False


class Decoded(NamedTuple):
    """A picture: its `pixels` (C, size, size), how it was stored, and of a 16-bit one the least
    and the greatest value."""

    pixels: Pixels
    width: int
    height: int
    mode: str
    used: tuple[int, int] | None


def decode(
    data: bytes, size: int, channels: int, where: str, spread: tuple[int, int] | None = None
) -> Decoded | Corrupt:
    """One encoded picture as (`channels`, `size`, `size`).

    The first frame of an animation, turned upright by its EXIF orientation; transparency is
    dropped; values of 16 bits keep their upper byte, or those of `spread` are spread over 0 … 255.

    Raises:
        SettingError: a decompression bomb. Other damage is returned, to be counted.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise _bomb(where, f"{width} × {height} pixels")
            # Of colour of 16 bits only the tiles know, and these are gone when it is loaded.
            deep_colour = any(";16" in str(tile) for tile in picture.tile)
            mode, used = picture.mode, None
            upright = _upright(picture)
            values = _deep_values(upright, picture.format, colour=deep_colour)
            if values is not None:
                used = int(values.min()), int(values.max())
                upright = Image.fromarray(_as_bytes(values, spread))
                mode = f"{mode.partition(';')[0]};16"
            pixels = planes(fit(_converted(upright, channels), size))
            return Decoded(pixels, width, height, mode, used)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(where, str(error)) from error
    except (SettingError, MemoryError):
        raise
    except UnidentifiedImageError:
        return Corrupt(f"not a picture in {', '.join(FORMATS)}")
    except Exception as error:
        # Hostile or truncated bytes make Pillow's decoders raise almost anything. Each one is
        # counted by the caller, who stops beyond max_corrupt.
        return Corrupt(reason_of(error))


def spread_rule(spread: tuple[int, int] | None) -> str:
    """The rule by which values of 16 bits become bytes, in words."""
    if spread is None:
        return UPPER_BYTE
    low, high = spread
    return f"16-bit values as round(255 (v - {low}) / {high - low})"


def _deep_values(
    picture: Image.Image, form: str | None, *, colour: bool
) -> npt.NDArray[Any] | None:
    """The values of a picture of 16 bits, (H, W) or (H, W, 3); None of any other.

    Of `colour` Pillow has dropped the lower byte, whatever it keeps grey in.
    """
    if picture.mode.startswith("I;16") or (picture.mode, form) == ("I", "PPM"):
        return np.asarray(picture)
    return np.asarray(picture.convert("RGB")).astype(np.uint16) << 8 if colour else None


def _as_bytes(values: npt.NDArray[Any], spread: tuple[int, int] | None) -> Pixels:
    """Values of 16 bits as bytes."""
    if spread is None:
        return (values >> 8).astype(np.uint8)
    # round(255 (v − low) / (high − low))
    low, high = spread
    pixels: Pixels = np.rint((values - float(low)) * (255 / max(1, high - low))).astype(np.uint8)
    return pixels


def _upright(picture: Image.Image) -> Image.Image:
    """`picture` turned as its EXIF orientation says, or as it lies where that is damaged."""
    picture.load()  # whatever fails from here on, the pixels are whole
    try:
        return ImageOps.exif_transpose(picture)
    except (MemoryError, Image.DecompressionBombError):
        raise
    except Exception:
        # EXIF readers, too, raise almost anything.
        return picture


def _converted(picture: Image.Image, channels: int) -> Image.Image:
    """Grey or RGB of 8 bits."""
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode}, where 8 or 16 bits are expected")
    return picture.convert("L" if channels == 1 else "RGB")


def _bomb(where: str, what: str) -> SettingError:
    return SettingError(
        "path",
        f"{where} would be unpacked to {what}: a decompression bomb",
        f"images of at most {MAX_PIXELS} pixels",
    )


def decode_all(
    pictures: Iterable[Encoded],
    tally: Tally,
    *,
    size: int,
    channels: int,
    spread: tuple[int, int] | None = None,
) -> Iterator[Block]:
    """Blocks of decoded pictures in their order, without the corrupt ones, which `tally` counts.

    Pictures are taken, and decoded by all cores, a block at a time, so that memory is bounded.

    Raises:
        SettingError: too many are corrupt, or one is a bomb.
    """
    for items, results in _decoded(pictures, size, channels, spread):
        images, labels = [], []
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Corrupt):
                tally.corrupt(item.where, result.reason, unread=result.unread)
                continue
            tally.taken(result.width, result.height, result.mode)
            if result.used is not None:
                tally.uses(*result.used)
                tally.rule = spread_rule(spread)
            images.append(result.pixels)
            if item.label is not None:
                labels.append(item.label)
        if images:
            yield Block(np.stack(images), np.array(labels, np.int64) if labels else None)


def used_range(pictures: Iterable[Encoded]) -> tuple[int, int] | None:
    """The least and the greatest value of all 16-bit pictures; None where there are none.

    Raises:
        SettingError: one is a bomb.
    """
    tally = Tally()
    for _, results in _decoded(pictures, 8, 1, None):
        for result in results:
            if isinstance(result, Decoded) and result.used is not None:
                tally.uses(*result.used)
    return tally.used


def _decoded(
    pictures: Iterable[Encoded], size: int, channels: int, spread: tuple[int, int] | None
) -> Iterator[tuple[list[Encoded], list[Decoded | Corrupt]]]:
    """Blocks of pictures, each with what became of it."""

    def decoded(item: Encoded) -> Decoded | Corrupt:
        if item.picture is None:
            return Corrupt("there are no bytes")
        data = item.picture if isinstance(item.picture, bytes) else _contents(item.picture)
        return (
            data if isinstance(data, Corrupt) else decode(data, size, channels, item.where, spread)
        )

    with ThreadPoolExecutor(max_workers=readers()) as pool:
        stream = iter(pictures)
        while items := list(islice(stream, BLOCK)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                results = list(pool.map(decoded, items))
            yield items, results


def _contents(file: Path) -> bytes | Corrupt:
    """The bytes of a file, and no more than it had when it was opened."""
    if reason := obstacle(file, MAX_BYTES):
        return Corrupt(reason, unread=True)
    try:
        with opened_regular(file) as stream:
            return stream.read(min(MAX_BYTES, os.fstat(stream.fileno()).st_size))
    except OSError as error:
        return Corrupt(str(error.strerror), unread=True)
