"""The rules by which pictures of any size become the size a training asks for.

Centre crop to a square, then Pillow's bicubic filter, whose support grows when it shrinks a
picture (antialiasing). The size of the filter is what makes Fréchet distances of differently
resized data incomparable: Parmar et al. 2022, arXiv:2104.11222. Pictures that have the size
already are not touched.

Small pictures may be padded instead, as studies of 28×28 digits on networks for 32×32 do: black
all round, so that no pixel changes and no distance is taken between resized images.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

RESIZE_RULE = "centre crop to a square, then antialiased bicubic (Pillow); untouched if it fits"

Pixels = npt.NDArray[np.uint8]


def fit(picture: Image.Image, size: int) -> Image.Image:
    """`picture` at `size` × `size` pixels. Where the crop is odd, the extra row or column
    is taken from the right or the bottom."""
    width, height = picture.size
    side = min(width, height)
    if width != height:
        left, top = (width - side) // 2, (height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if side != size:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return picture


def padded(images: Pixels, size: int) -> Pixels:
    """Images (N, C, H, W), H and W at most `size`, in the middle of black ones of that size. Where
    the border is odd, the wider part is on the right and at the bottom."""
    height, width = images.shape[2:]
    top, left = (size - height) // 2, (size - width) // 2
    made: Pixels = np.zeros((*images.shape[:2], size, size), np.uint8)
    made[:, :, top : top + height, left : left + width] = images
    return made


def fit_arrays(images: Pixels, size: int, channels: int, *, pad: bool = False) -> Pixels:
    """Images (N, C, H, W) with C in {1, 3} as (N, `channels`, `size`, `size`).

    Colour becomes grey by ITU-R 601 luma; grey becomes colour by repetition. `pad`: smaller ones
    are padded, not enlarged.
    """
    if pad and max(images.shape[2:]) < size:
        images = padded(images, size)
    if images.shape[1:] == (channels, size, size):
        return images
    mode = "L" if channels == 1 else "RGB"
    fitted: Pixels = np.empty((len(images), channels, size, size), np.uint8)
    for position, image in enumerate(images):
        plain = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
        picture = Image.fromarray(np.ascontiguousarray(plain)).convert(mode)
        fitted[position] = planes(fit(picture, size))
    return fitted


def planes(picture: Image.Image) -> Pixels:
    """A grey or RGB picture as (C, H, W)."""
    pixels: Pixels = np.asarray(picture, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
