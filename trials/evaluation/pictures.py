"""Pictures of samples: a grid of images, or a scatter of points over the true modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from trials.files import atomic_write

SMALLEST_SIDE = 32
"""Images below this height are enlarged by whole pixels, so that a person can see them."""


def image_grid(images: Tensor, columns: int, gap: int = 2) -> Image.Image:
    """(N, C, H, W) in [−1, 1] → one picture, row by row, ``columns`` wide."""
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    array = pixels.permute(0, 2, 3, 1).cpu().numpy()
    factor = max(1, SMALLEST_SIDE // array.shape[1])
    array = array.repeat(factor, axis=1).repeat(factor, axis=2)
    count, height, width, channels = array.shape
    rows = -(-count // columns)
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8
    )
    for index, image in enumerate(array):
        top = gap + (index // columns) * (height + gap)
        left = gap + (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)


def scatter(points: Tensor, modes: Tensor | None, size: int = 480) -> Image.Image:
    """(N, 2) points in blue over the true modes, drawn as rings in grey."""
    reference = modes if modes is not None else points
    reach = float(reference.abs().max()) * 1.25 + 1e-6
    sheet = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(sheet)

    def place(point: Tensor) -> tuple[float, float]:
        x, y = float(point[0]), float(point[1])
        return ((x / reach + 1) * size / 2, (1 - y / reach) * size / 2)

    for mode in modes if modes is not None else ():
        x, y = place(mode)
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), outline=(160, 160, 160), width=2)
    for point in points.cpu():
        x, y = place(point)
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(31, 90, 170))
    return sheet


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda temporary: picture.save(temporary, format="PNG"))
