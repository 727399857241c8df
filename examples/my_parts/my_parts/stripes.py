"""Stripes: grey images of 8 × 8 pixels, upright or lying, of random phase. Made, not read.

x(i, j) = ½ + ½ sin(2π f i + φ),  φ ~ U(0, 2π)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trials.data.content import Content, in_memory
from trials.data.source import ImageSource
from trials.part import knob

SIDE = 8
NAMES = ("upright", "lying")


def stripes(
    count: int, frequency: float, seed: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images (count, 1, 8, 8), uint8, and labels (count,): 0 upright, 1 lying."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(len(NAMES), size=count, dtype=np.int64)
    phases = draw.uniform(0, 2 * np.pi, (count, 1))
    # x(i, j) = ½ + ½ sin(2π f i + φ)
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * frequency * np.arange(SIDE) + phases)
    rows = np.broadcast_to(waves[:, None, :], (count, SIDE, SIDE))
    images = np.where(labels[:, None, None] == 0, rows, rows.transpose(0, 2, 1))
    return np.rint(255 * images).astype(np.uint8)[:, None], labels


class Stripes(ImageSource):
    """Striped images in two classes."""

    key = "stripes"
    summary = "striped images of 8 × 8 pixels, upright or lying"

    class Config(ImageSource.Config):
        """The settings of the stripes."""

        images: int = knob(1000, "number of images", ge=2, le=100_000)
        frequency: float = knob(0.25, "stripes in a pixel's width", gt=0, le=0.5)
        seed: int = knob(0, "seed of phases and classes", ge=0, lt=2**32)

    @property
    def labelled(self) -> bool:
        return True

    def item_shape(self) -> tuple[int, ...]:
        return (1, SIDE, SIDE)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return ()  # there is no file that could be missing

    def content(self, cache: Path | None) -> Content:
        images, labels = stripes(self.config.images, self.config.frequency, self.config.seed)
        return in_memory(images, labels, holdout=self.config.holdout, class_names=NAMES)

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        return {"images": 40, "seed": seed}
