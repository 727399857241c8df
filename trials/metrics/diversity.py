"""How different the samples are from each other, beside the real data: what the watcher reads.

Cheap on purpose: at most `MOST` images of each side are looked at, whatever metrics are on.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trials.metrics.neighbours import working_precision

MOST = 1000
"""Images of each side; a thousand give half a million pairs."""

NEAR = 0.1
"""A near duplicate is this much nearer than the median real image is to its neighbour."""


class Spread(NamedTuple):
    """Mean distance between two samples, and each sample's distance to its nearest other."""

    pairwise: float
    nearest: Tensor


def spread(features: Tensor) -> Spread:
    """Spread of the first `MOST` features (n ≥ 2, d)."""
    x = working_precision(features[:MOST])
    distances = torch.cdist(x, x)
    count = len(x)
    distances.fill_diagonal_(0)
    pairwise = float(distances.sum()) / (count * (count - 1))
    return Spread(pairwise, distances.fill_diagonal_(torch.inf).min(dim=1).values)


def relative_diversity(fake: Spread, real: Spread) -> float:
    """Mean pairwise distance of the samples over that of the data; 1 is as diverse as the data."""
    return fake.pairwise / real.pairwise if real.pairwise > 0 else 1.0


def duplicate_share(fake: Spread, real: Spread) -> float:
    """Share in [0, 1] of samples with a near duplicate among the samples."""
    threshold = NEAR * float(real.nearest.median())
    return float((fake.nearest <= threshold).double().mean())
