"""From encoded pictures to pixels: many at once, the corrupt ones counted."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trials.data.content import Block, Tally
from trials.data.faults import SettingError
from trials.data.resize import Pixels, fit, planes

MAX_PIXELS = 2**26
"""A picture of more pixels (8192 × 8192) is taken for a decompression bomb."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded. Pillow knows more, of which some run other programs."""

BLOCK = 256


class Encoded(NamedTuple):
    """One picture as it is stored; `picture` is None where a table has an empty cell."""

    where: str
    picture: bytes | Path | None
    label: int | None


class Corrupt(NamedTuple):
    """Why a picture cannot be decoded."""

    reason: str


def decode(data: bytes, size: int, channels: int, where: str) -> Pixels | Corrupt:
    """One encoded picture as (`channels`, `size`, `size`).

    The first frame of an animation, turned upright by its EXIF orientation; transparency is
    dropped; 16-bit grey keeps its upper byte.

    Raises:
        SettingError: a decompression bomb. Other damage is returned, to be counted.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise _bomb(where, f"{width} × {height} pixels")
            upright = _upright(picture)
            deep = picture.mode.startswith("I;16") or (picture.mode, picture.format) == ("I", "PPM")
            return planes(fit(_converted(upright, channels, deep=deep), size))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(where, str(error)) from error
    except (SettingError, MemoryError):
        raise
    except UnidentifiedImageError:
        return Corrupt(f"not a picture in {', '.join(FORMATS)}")
    except Exception as error:
        # Hostile or truncated bytes make Pillow's decoders raise almost anything. Each one is
        # counted by the caller, who stops beyond max_corrupt.
        return Corrupt(f"{type(error).__name__}: {error}")


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


def _converted(picture: Image.Image, channels: int, *, deep: bool) -> Image.Image:
    """Grey or RGB of 8 bits. `deep` pictures have 16 bits, whatever Pillow keeps them in."""
    if deep:
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode}, where 8 or 16 bits are expected")
    return picture.convert("L" if channels == 1 else "RGB")


def _bomb(where: str, what: str) -> SettingError:
    return SettingError(
        "path",
        f"{where} would be unpacked to {what}: a decompression bomb",
        f"images of at most {MAX_PIXELS} pixels",
    )


def decode_all(
    pictures: Iterable[Encoded], tally: Tally, *, size: int, channels: int
) -> Iterator[Block]:
    """Blocks of decoded pictures in their order, without the corrupt ones, which `tally` counts.

    Pictures are taken, and decoded by all cores, a block at a time, so that memory is bounded.

    Raises:
        SettingError: too many are corrupt, one is a bomb, or a file cannot be read.
    """

    def decoded(item: Encoded) -> Pixels | Corrupt:
        if item.picture is None:
            return Corrupt("there are no bytes")
        if isinstance(item.picture, bytes):
            return decode(item.picture, size, channels, item.where)
        try:
            data = item.picture.read_bytes()
        except OSError as error:
            raise SettingError("path", f"{item.where} cannot be read: {error.strerror}") from error
        return decode(data, size, channels, item.where)

    with ThreadPoolExecutor(max_workers=_cores()) as pool:
        stream = iter(pictures)
        while items := list(islice(stream, BLOCK)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                results = list(pool.map(decoded, items))
            images, labels = [], []
            for item, result in zip(items, results, strict=True):
                if isinstance(result, Corrupt):
                    tally.corrupt(item.where, result.reason)
                    continue
                images.append(result)
                if item.label is not None:
                    labels.append(item.label)
            if images:
                yield Block(np.stack(images), np.array(labels, np.int64) if labels else None)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(16, len(os.sched_getaffinity(0)))
    return min(16, os.cpu_count() or 1)
