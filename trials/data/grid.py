"""Twenty-five Gaussians on a square grid: mode coverage where there are many modes.

Dumoulin et al. 2016, arXiv:1606.00704, and Srivastava et al. 2017, arXiv:1705.07761.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from trials.data.mixture import MixtureConfig


class GridConfig(MixtureConfig):
    """Points from equal Gaussians on a square grid around the origin."""

    name: Literal["grid"] = "grid"
    side: int = Field(default=5, ge=1, le=32, description="Gaussians along each side")
    spacing: float = Field(default=2.0, gt=0, le=1e6, description="distance of neighbours")
    std: float = Field(default=0.05, gt=0, le=1e6, description="standard deviation of each")

    @property
    def spread(self) -> float:
        return self.std

    def centres(self) -> npt.NDArray[np.float64]:
        # c_ij = d (i − (m−1)/2, j − (m−1)/2)
        line = self.spacing * (np.arange(self.side) - (self.side - 1) / 2)
        return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
