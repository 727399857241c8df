"""Pictures of samples: a grid of images, or a scatter of points over the true modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from trials.engine.composed_game import ComposedGame
from trials.files import atomic_write
from trials.state.streams import stream

SMALLEST_SIDE = 32
"""Images below this height are enlarged by whole pixels, so that a person can see them."""


def image_grid(images: Tensor, columns: int, gap: int = 2) -> Image.Image:
    """(N, C, H, W) in [−1, 1] → one picture, row by row, `columns` wide."""
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


class SamplePictures:
    """Pictures of one game's samples from the same z at every step, so that they can be followed.

    One row a class where labels are used, or one image for each of some classes, evenly chosen,
    where there are more classes than `count` images.
    """

    def __init__(self, game: ComposedGame, count: int) -> None:
        self._game = game
        noise = self._stream("picture")
        self.z, self.labels = game.noise(count, noise)
        if self.labels is not None:
            classes = game.dataset.classes
            chosen = torch.arange(min(classes, count), device=game.device) * classes
            chosen = chosen // min(classes, count)
            self.labels = chosen.repeat_interleave(max(1, count // classes))
            self.z, _ = game.noise(len(self.labels), noise)

    def draw(self, network: nn.Module, file: Path) -> None:
        """Write a PNG of what `network` makes, atomically."""
        game, count = self._game, len(self.z)
        noise, most = self._stream("shown"), game.trial.evaluation.batch
        parts = [slice(start, start + most) for start in range(0, count, most)]
        made = [game.sampled(network, self.z[part], self._labels_of(part), noise) for part in parts]
        images = torch.cat(made)
        if game.dataset.kind == "point":
            picture = scatter(images, game.dataset.modes)
        else:
            row_a_class = self.labels is not None and game.dataset.classes <= count
            columns = count // game.dataset.classes if row_a_class else round(count**0.5)
            picture = image_grid(images, columns)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, lambda temporary: picture.save(temporary, format="PNG"))

    def _labels_of(self, part: slice) -> Tensor | None:
        return None if self.labels is None else self.labels[part]

    def _stream(self, purpose: str) -> torch.Generator:
        return stream(self._game.device, self._game.trial.seed, purpose)
