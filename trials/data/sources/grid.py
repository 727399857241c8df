"""Twenty-five Gaussians on a square grid: mode coverage where there are many modes.

Dumoulin et al. 2016, arXiv:1606.00704, and Srivastava et al. 2017, arXiv:1705.07761.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trials.data.mixture import Mixture
from trials.part import knob


class Grid(Mixture):
    """Points from equal Gaussians on a square grid around the origin."""

    key = "grid"
    summary = "twenty-five Gaussians on a square grid"

    class Config(Mixture.Config):
        """The settings of a grid of Gaussians."""

        side: int = knob(5, "Gaussians along each side", ge=1, le=32)
        spacing: float = knob(2.0, "distance of neighbours", gt=0, le=1e6)
        std: float = knob(0.05, "standard deviation of each", gt=0, le=1e6)

    def centres(self) -> npt.NDArray[np.float64]:
        # c_ij = d (i − (m−1)/2, j − (m−1)/2)
        side: int = self.config.side
        line = self.config.spacing * (np.arange(side) - (side - 1) / 2)
        return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
