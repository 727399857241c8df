"""Points from a mixture of equal round Gaussians, where what was missed can be counted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trials.data.content import Content, in_memory
from trials.data.source import DataSource
from trials.part import knob


class Mixture(DataSource):
    """A mixture of equal round Gaussians in the plane."""

    items = "point"
    known_modes = True

    class Config(DataSource.Config):
        """The settings of a mixture of Gaussians in the plane."""

        points: int = knob(100_000, "number of points drawn", ge=2, le=10_000_000)
        seed: int = knob(0, "seed of the draw", ge=0, lt=2**63)

    @abstractmethod
    def centres(self) -> npt.NDArray[np.float64]:
        """The modes' centres, (M, 2)."""

    @property
    def spread(self) -> float:
        """The standard deviation of each mode in each coordinate: the knob `std`."""
        return float(self.config.std)

    @property
    def labelled(self) -> bool:
        return True

    def item_shape(self) -> tuple[int, ...]:
        return (2,)

    def inspections(self) -> Sequence[Callable[[], object]]:
        return ()

    def content(self, cache: Path | None) -> Content:
        """Points (N, 2), float32, labelled with the mode that each was drawn from."""
        centres = self.centres()
        draw = np.random.Generator(np.random.PCG64(self.config.seed))
        labels = draw.integers(len(centres), size=self.config.points, dtype=np.int64)
        # x = c_k + s n,  k uniform,  n ~ N(0, I)
        points = centres[labels] + self.spread * draw.standard_normal((self.config.points, 2))
        return in_memory(
            points.astype(np.float32),
            labels,
            holdout=self.config.holdout,
            class_names=tuple(map(str, range(len(centres)))),
            modes=centres.astype(np.float32),
            mode_std=self.spread,
        )

    @classmethod
    def example(cls, folder: Path, seed: int) -> dict[str, Any]:
        return {"points": 1000, "seed": seed}
