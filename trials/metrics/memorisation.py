"""Does the generator copy its training images?

    memorisation = P(d(generated, train) < d(held out, train)) + ½ P(equal)

with d the feature distance to the nearest training image: the area under the curve of the
Mann-Whitney test. 0.5: generated images are as far from the training set as unseen real ones;
towards 1 they are copies; towards 0 they are further away than real images are (underfitting).

Paper: Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675, the global statistic without cells.
References for the parity test: scikit-learn's nearest neighbours, scipy's `mannwhitneyu`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def memorisation(generated: Tensor, held_out: Tensor) -> float:
    """From distances to the nearest training image, (n,) and (m,); in [0, 1]."""
    ranked = held_out.sort().values
    below = torch.searchsorted(ranked, generated, right=False)
    below_or_equal = torch.searchsorted(ranked, generated, right=True)
    # Per generated image: held-out ones strictly further away, and half of those equally far.
    further = len(ranked) - below_or_equal + 0.5 * (below_or_equal - below)
    return float(further.double().mean()) / len(ranked)
