"""A scrambled low-discrepancy sequence over all parameters, conditional ones included.

Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization, section 5.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

from sweeper.parts import SamplerConfig
from sweeper.search.quantiles import at
from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile.domains import canonical
from sweeper.sweepfile.space import Draw, walk
from trials.part import knob

Sequence = Literal["sobol", "halton"]

AHEAD = 1024
"""Points of the sequence among which one is looked for in place of a repeat."""


def sequence_points(
    sequence: Sequence, dimensions: int, seed: int, index: int, count: int = 1
) -> Any:
    """The points from `index` (from 0) on of a scrambled sequence: shape (count, dimensions), in
    [0, 1)."""
    import numpy as np
    from scipy.stats import qmc

    kind = qmc.Halton if sequence == "halton" else qmc.Sobol
    engine = kind(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if index:  # SciPy cannot skip no point at all
        engine.fast_forward(index)
    with warnings.catch_warnings():
        # SciPy says that part of a Sobol sequence is not balanced; the sequence is.
        warnings.simplefilter("ignore", UserWarning)
        return engine.random(count)


class QuasiMonteCarlo(Sampler):
    """Covers the space more evenly than chance does: one dimension a parameter."""

    key = "qmc"
    summary = "a low-discrepancy sequence"
    objectives = 2

    class Config(SamplerConfig):
        sequence: Sequence = knob("sobol", "the low-discrepancy sequence")

    def propose(self, turn: Turn) -> Draw:
        """The sequence's point of this turn; in place of one that repeats a point, the next of it
        that does not, if that is near enough."""
        drawn = map(self._at, self._points(turn.index, 1 + (AHEAD if turn.again else 0)))
        first = next(drawn)
        if not turn.again:
            return first
        return next((draw for draw in drawn if canonical(draw.values) not in turn.tried), first)

    def _points(self, index: int, count: int) -> Any:
        dimensions = max(1, len(self.sweep.parameters))
        return sequence_points(self.config.sequence, dimensions, self.config.seed, index, count)

    def _at(self, point: Any) -> Draw:
        dimension = {parameter.path: place for place, parameter in enumerate(self.sweep.parameters)}
        return walk(
            self.sweep, lambda parameter: at(parameter, float(point[dimension[parameter.path]]))
        )
