"""Independent draws: the opponent that every other sampler has to beat.

Each parameter is drawn uniformly, over its range or its logarithm (Bergstra & Bengio 2012, Random
Search for Hyper-Parameter Optimization).
"""

from __future__ import annotations

from sweeper.search.sampler import Sampler, Turn, independent
from sweeper.sweepfile.space import Draw, walk


class Random(Sampler):
    """Draws each parameter by itself."""

    key = "random"
    summary = "independent draws"
    objectives = 2

    def propose(self, turn: Turn) -> Draw:
        return walk(self.sweep, independent(turn))
