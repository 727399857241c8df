"""Golden: covers the space by an additive recurrence, the golden ratio's in more dimensions.

    u_n = frac(u_0 + n (g⁻¹, g⁻², …, g⁻ᵈ)),  g the real root above 1 of g^(d+1) = g + 1

Roberts 2018, The Unreasonable Effectiveness of Quasirandom Sequences.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sweeper.parts import SamplerConfig
from sweeper.search.quantiles import at
from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile.space import Draw, walk
from trials.part import knob


def point(index: int, dimensions: int, start: float) -> npt.NDArray[np.float64]:
    """u_n, shape (dimensions,), in [0, 1)."""
    g = 2.0
    for _ in range(64):  # the fixed point of g = (1 + g)^(1 / (d + 1))
        g = (1 + g) ** (1 / (dimensions + 1))
    steps = g ** -np.arange(1.0, dimensions + 1)
    covered: npt.NDArray[np.float64] = (start + index * steps) % 1.0
    return covered


class Golden(Sampler):
    """One dimension a parameter, each proposal far from those before it."""

    key = "golden"
    summary = "an additive recurrence by powers of the golden ratio's generalisation"

    class Config(SamplerConfig):
        """The knobs of the recurrence."""

        start: float = knob(0.5, "u_0 in every dimension", ge=0, lt=1)

    def propose(self, turn: Turn) -> Draw:
        dimension = {one.path: place for place, one in enumerate(self.sweep.parameters)}
        covered = point(turn.index, len(dimension), self.config.start)
        return walk(self.sweep, lambda one: at(one, float(covered[dimension[one.path]])))
