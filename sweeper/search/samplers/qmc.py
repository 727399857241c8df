"""A scrambled low-discrepancy sequence over all parameters, conditional ones included.

Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization, section 5.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

from sweeper.parts import SamplerConfig
from sweeper.search.quantiles import at
from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile.space import Draw, walk
from trials.part import knob

Sequence = Literal["sobol", "halton"]


def sequence_point(sequence: Sequence, dimensions: int, seed: int, index: int) -> Any:
    """The point at `index` (from 0) of a scrambled sequence: shape (dimensions,), in [0, 1)."""
    import numpy as np
    from scipy.stats import qmc

    kind = qmc.Halton if sequence == "halton" else qmc.Sobol
    engine = kind(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if index:  # SciPy cannot skip no point at all
        engine.fast_forward(index)
    with warnings.catch_warnings():
        # SciPy says that one point of a Sobol sequence is not balanced; the sequence is.
        warnings.simplefilter("ignore", UserWarning)
        return engine.random(1)[0]


class QuasiMonteCarlo(Sampler):
    """Covers the space more evenly than chance does: one dimension a parameter."""

    key = "qmc"
    summary = "a low-discrepancy sequence"
    objectives = 2

    class Config(SamplerConfig):
        sequence: Sequence = knob("sobol", "the low-discrepancy sequence")

    def propose(self, turn: Turn) -> Draw:
        parameters = self.sweep.parameters
        point = sequence_point(
            self.config.sequence, max(1, len(parameters)), self.config.seed, turn.index
        )
        dimension = {parameter.path: place for place, parameter in enumerate(parameters)}
        return walk(
            self.sweep, lambda parameter: at(parameter, float(point[dimension[parameter.path]]))
        )
