"""Eight Gaussians on a circle: the standard picture of mode collapse.

Metz et al. 2016, arXiv:1611.02163, and Srivastava et al. 2017, arXiv:1705.07761.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trials.data.mixture import Mixture
from trials.part import knob


class Ring(Mixture):
    """Points from equal Gaussians, evenly spaced on a circle around the origin."""

    key = "ring"
    summary = "eight Gaussians on a circle"

    class Config(Mixture.Config):
        """The settings of a ring of Gaussians."""

        modes: int = knob(8, "number of Gaussians", ge=1, le=1000)
        radius: float = knob(1.0, "radius of the circle", gt=0, le=1e6)
        std: float = knob(0.01, "standard deviation of each", gt=0, le=1e6)

    def centres(self) -> npt.NDArray[np.float64]:
        # c_k = r (cos 2πk/M, sin 2πk/M)
        angles = 2 * np.pi * np.arange(self.config.modes) / self.config.modes
        radius: float = self.config.radius
        return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
