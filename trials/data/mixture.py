"""Points from a mixture of equal round Gaussians, where what was missed can be counted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from trials.data.config import DataConfig
from trials.data.content import Content, in_memory


class MixtureConfig(DataConfig):
    """The settings of a mixture of Gaussians in the plane."""

    points: int = Field(default=100_000, ge=2, le=10_000_000, description="number of points drawn")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the draw")

    @abstractmethod
    def centres(self) -> npt.NDArray[np.float64]:
        """The modes' centres, (M, 2)."""

    @property
    @abstractmethod
    def spread(self) -> float:
        """The standard deviation of each mode in each coordinate."""

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
        draw = np.random.Generator(np.random.PCG64(self.seed))
        labels = draw.integers(len(centres), size=self.points, dtype=np.int64)
        # x = c_k + s n,  k uniform,  n ~ N(0, I)
        points = centres[labels] + self.spread * draw.standard_normal((self.points, 2))
        return in_memory(
            points.astype(np.float32),
            labels,
            holdout=self.holdout,
            class_names=tuple(map(str, range(len(centres)))),
            modes=centres.astype(np.float32),
            mode_std=self.spread,
        )
