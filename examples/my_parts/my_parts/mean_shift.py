"""Mean shift: how far the generated features' mean lies from the real ones'.

    ‖μ_r − μ_g‖²

The first term of the Fréchet distance (Heusel et al. 2017, arXiv:1706.08500), by itself.
"""

from __future__ import annotations

from torch import Tensor

from trials.metrics.measure import Measure
from trials.metrics.one_pass import Pass


def mean_shift(real: Tensor, fake: Tensor) -> float:
    """‖μ_r − μ_g‖² of two means (d,); ≥ 0."""
    return float((real - fake).square().sum())


class MeanShift(Measure):
    """≥ 0; blind to all but the means."""

    key = "mean_shift"
    summary = "the squared distance between the means of real and generated features"
    better = "lower"
    paper = "Heusel et al. 2017, arXiv:1706.08500, its first term"
    kinds = frozenset()  # measured only where it is asked for
    label = "Mean shift"

    def compute(self, seen: Pass) -> float:
        return mean_shift(seen.real.reference.moments.mean, seen.moments.mean)
