"""Is what an extractor looks at far from what it was trained on?

    m(x) = (f(x) − μ)ᵀ Σ⁻¹ (f(x) − μ),   μ and Σ of the features of its training images

An image is strange when its Mahalanobis distance m is beyond that of 99 of 100 training images (Lee
et al. 2018, arXiv:1807.03888). Where a quarter and more of the real images are, beyond what chance
makes of so many, distances in those features say little about them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trials.metrics.config import EvaluationConfig
from trials.metrics.extractor import Extractor, Measurable, build_extractor
from trials.metrics.real import RealData

KNOWN = 0.99
"""Share of the training images that are not strange."""

FAR = 0.25
"""Share of strange images from which on the extractor is far from its training data."""

DEVIATIONS = 3
"""Standard deviations of a share by which it must be beyond that."""

LOOKED_AT = 1000
"""Real images, at most, that are looked at."""

IN_THE_PROTOCOL = "; extractor far from its training data"


def strange_share(trained: Tensor, seen: Tensor) -> float:
    """The share in [0, 1] of features `seen` (n, d) that are strange beside `trained` (m, d)."""
    known = trained.detach().cpu().double()
    mean = known.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(known.T))
    # Directions in which the training images do not differ have no distance of their own.
    used = values > values[-1] * 1e-6
    whitening = vectors[:, used] / values[used].sqrt()

    def distances(features: Tensor) -> Tensor:
        away: Tensor = (features.detach().cpu().double() - mean) @ whitening
        return away.square().sum(dim=1)

    limit = distances(known).quantile(KNOWN)
    return float((distances(seen) > limit).double().mean())


def is_far(trained: Tensor, seen: Tensor) -> bool:
    """Whether features `seen` (n, d) are far from those of the training images (m, d)."""
    share = strange_share(trained, seen)
    return share - DEVIATIONS * math.sqrt(share * (1 - share) / len(seen)) > FAR


def far_from_its_training(extractor: Extractor, data: Measurable, seen: Tensor) -> bool:
    """Whether the extractor is far from its training data, as far as it can tell of those; `seen`
    are its features (n, d) of real items."""
    if data.name in extractor.classes_of:
        return False
    trained = extractor.training_features()
    return trained is not None and is_far(trained, seen[:LOOKED_AT])


def warnings_of_data(config: EvaluationConfig, data: RealData) -> list[str]:
    """What to say of the extractor and these data, before anything is trained."""
    extractor = build_extractor(config.extractor, data)
    chance = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(data.images), generator=chance)[:LOOKED_AT]
    if not far_from_its_training(extractor, data, extractor(data.images[chosen]).features):
        return []
    return [
        f"evaluation.extractor: these data are far from those that the {extractor.key} extractor "
        "was trained on, so its features say little about them; random, or one that was trained on "
        "such images, measures better"
    ]
