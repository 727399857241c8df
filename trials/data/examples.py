"""Small pictures from which file sources make an example of themselves."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from trials.data.content import Labels
from trials.data.resize import Pixels

COUNT = 40


def pictures(seed: int, channels: int, side: int) -> tuple[Pixels, Labels]:
    """Noise (40, channels, side, side), and labels (40,) of five classes in ascending order."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (COUNT, channels, side, side), dtype=np.uint8)
    return images, np.sort(np.arange(COUNT) % 5)


def png(image: Pixels) -> bytes:
    """A picture (C, H, W) with C in {1, 3}, encoded without loss."""
    stream = io.BytesIO()
    plain = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
    Image.fromarray(np.ascontiguousarray(plain)).save(stream, "PNG")
    return stream.getvalue()
