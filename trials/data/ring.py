"""Eight Gaussians on a circle: the standard picture of mode collapse.

Metz et al. 2016, arXiv:1611.02163, and Srivastava et al. 2017, arXiv:1705.07761.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from trials.data.mixture import MixtureConfig


class RingConfig(MixtureConfig):
    """Points from equal Gaussians, evenly spaced on a circle around the origin."""

    name: Literal["ring"] = "ring"
    modes: int = Field(default=8, ge=1, le=1000, description="number of Gaussians")
    radius: float = Field(default=1.0, gt=0, le=1e6, description="radius of the circle")
    std: float = Field(default=0.01, gt=0, le=1e6, description="standard deviation of each")

    @property
    def spread(self) -> float:
        return self.std

    def centres(self) -> npt.NDArray[np.float64]:
        # c_k = r (cos 2πk/M, sin 2πk/M)
        angles = 2 * np.pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
