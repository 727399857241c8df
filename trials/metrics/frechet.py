"""Fréchet distance between two Gaussians fitted to features (FID).

    d² = ‖μ₁ − μ₂‖² + Tr Σ₁ + Tr Σ₂ − 2 Tr (Σ₁^½ Σ₂ Σ₁^½)^½

Paper: Heusel et al. 2017, arXiv:1706.08500. Reference implementations: mseitzer/pytorch-fid,
torchmetrics `FrechetInceptionDistance`; agreement is tested in tests/parity.

The trace is taken from the symmetric form: Σ₁^½ Σ₂ Σ₁^½ is positive semidefinite and has the
eigenvalues of Σ₁Σ₂, so `eigvalsh` gives a real, non-negative result for any input, also for
fewer images than features, where the usual `sqrtm(Σ₁Σ₂)` turns complex. Σ₁^½ belongs to the
real data and is computed once (`Reference`). Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trials.errors import TrialError

BLOCK = 256
"""Columns of a covariance that are multiplied at a time."""

AT_ONCE = 16_384
"""Rows of features that are turned to float64 at a time: 256 MB of 2,048 features."""


class TooFewImagesError(TrialError):
    """A covariance needs two images or more."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of a set of features: `mean` (d,), `cov` (d, d), both float64.

    `cov` is the unbiased estimate (divided by n − 1), as in every published FID.
    """

    mean: Tensor
    cov: Tensor
    count: int

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Moments of features (n, d).

        Raises:
            TooFewImagesError: n < 2.
            ValueError: the features are no matrix.
        """
        if features.ndim != 2:
            raise ValueError(f"features must be (n, d), got {tuple(features.shape)}")
        count = len(features)
        if count < 2:
            raise TooFewImagesError(
                f"a Fréchet distance needs at least 2 images on each side, got {count}"
            )
        if count > AT_ONCE:
            running = RunningMoments()
            for start in range(0, count, AT_ONCE):
                running.update(features[start : start + AT_ONCE])
            return running.moments()
        x = features.detach().to(torch.float64)
        mean = x.mean(dim=0)
        return cls(mean, _scatter(x - mean) / (count - 1), count)


def _scatter(x: Tensor) -> Tensor:
    """xᵀx of (n, d), from the blocks of its upper half: the lower half is their mirror image."""
    dim = x.shape[1]
    result = x.new_empty(dim, dim)
    for start in range(0, dim, BLOCK):
        stop = min(start + BLOCK, dim)
        block = x[:, start:stop].T @ x[:, start:]
        result[start:stop, start:] = block
        result[stop:, start:stop] = block[:, stop - start :].T
    return result


def symmetric_root(matrix: Tensor) -> Tensor:
    """The positive semidefinite square root of a symmetric positive semidefinite (d, d) matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


class RunningMoments:
    """Moments of features that arrive in batches and are not kept (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self.scatter: Tensor | None = None

    def update(self, features: Tensor) -> None:
        """Take in features (n, d)."""
        x = features.detach().to(torch.float64)
        count, mean = len(x), x.mean(dim=0)
        scatter = _scatter(x - mean)
        if self.mean is None or self.scatter is None:
            self.count, self.mean, self.scatter = count, mean, scatter
            return
        total, delta = self.count + count, mean - self.mean
        self.scatter += scatter + torch.outer(delta, delta) * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total

    def moments(self) -> Moments:
        """What has been seen so far.

        Raises:
            TooFewImagesError: that is less than two images.
        """
        if self.mean is None or self.scatter is None or self.count < 2:
            raise TooFewImagesError(
                f"a Fréchet distance needs at least 2 images on each side, got {self.count}"
            )
        return Moments(self.mean, self.scatter / (self.count - 1), self.count)


@dataclass(frozen=True)
class Reference:
    """The real data's side of the distance, with its square root ready."""

    moments: Moments
    root: Tensor

    @classmethod
    def of(cls, moments: Moments) -> Reference:
        """The reference with these moments; takes the root, which is the expensive part."""
        return cls(moments, symmetric_root(moments.cov))

    def distance(self, moments: Moments) -> float:
        """Fréchet distance (d² of the paper, ≥ 0) from the reference to `moments`.

        Raises:
            ValueError: they are of another number of features.
        """
        real = self.moments
        if moments.mean.shape != real.mean.shape:
            raise ValueError(
                f"{len(moments.mean)} features cannot be compared with {len(real.mean)}"
            )
        product = self.root @ moments.cov @ self.root
        # eigvalsh reads one triangle only; averaging both keeps the rounding symmetric.
        eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2)
        overlap = eigenvalues.clamp_min(0).sqrt().sum()
        shift = (real.mean - moments.mean).square().sum()
        distance = shift + real.cov.trace() + moments.cov.trace() - 2 * overlap
        # NaN must stay NaN for the watcher to see, so max() on the tensor, not in Python.
        return float(distance.clamp_min(0))


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Fréchet distance of two Gaussians: means (d,), covariances (d, d), any float type."""
    first, second = (
        Moments(mean.to(torch.float64), cov.to(torch.float64), 0)
        for mean, cov in ((mean1, cov1), (mean2, cov2))
    )
    return Reference.of(first).distance(second)
