"""Measures over nearest neighbours: precision, recall, density and coverage.

With B(x, S) the ball around x that reaches to x's k-th neighbour within its own set S:

    precision = mean over generated y of  [y in B(x, real) for some real x]
    recall    = mean over real x of       [x in B(y, generated) for some generated y]
    density   = 1/k · mean over y of      #{real x : y in B(x, real)}
    coverage  = mean over real x of       [some generated y in B(x, real)]

Papers: Kynkäänniemi et al. 2019, arXiv:1904.06991 (precision, recall); Naeem et al. 2020,
arXiv:2002.09797 (density, coverage, and one k = 5 for all four). Reference implementation:
clovaai ``prdc``, with which the parity test agrees exactly in float64.

The same inner products serve the polynomial kernel of :mod:`trials.metrics.kernel`, so both are
taken in one sweep over blocks of rows, and the full matrix of distances never exists at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trials.errors import TrialError
from trials.metrics.kernel import polynomial

NEIGHBOURS = 5
"""k of the four measures."""

BLOCK_BYTES = 64 * 2**20
"""Memory of one block of inner products; two or three such blocks are alive at a time."""

EXACT_DIM = 256
"""Up to this many features everything is float64, which costs little there.

‖a‖² + ‖b‖² − 2 a·b loses the digits that a and b share. In a plane, where neighbours are close
and far from the origin, float32 would lose all of them; among thousands of features, few.
"""


class TooFewNeighboursError(TrialError):
    """A set has no k-th neighbour."""


@dataclass(frozen=True)
class SelfPairs:
    """One set against itself: squared ``radii`` (n,) to the k-th neighbour; the ``kernel``'s
    mean over ordered pairs of different members."""

    features: Tensor
    radii: Tensor
    kernel: float


@dataclass(frozen=True)
class CrossPairs:
    """Real against generated: the four measures, and the kernel's mean over all pairs."""

    precision: float
    recall: float
    density: float
    coverage: float
    kernel: float


def working_precision(features: Tensor) -> Tensor:
    """Features (n, d) in the type in which distances are taken; see :data:`EXACT_DIM`."""
    exact = features.dtype == torch.float64 or features.shape[1] <= EXACT_DIM
    return features.detach().to(torch.float64 if exact else torch.float32)


def blocks(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Inner products of rows (m, d) with columns (n, d), as (slice of rows, (c, n)) blocks."""
    size = max(1, BLOCK_BYTES // (columns.element_size() * max(1, len(columns))))
    for start in range(0, len(rows), size):
        chosen = slice(start, min(start + size, len(rows)))
        yield chosen, rows[chosen] @ columns.T


def squared_distances(products: Tensor, row_norms: Tensor, column_norms: Tensor) -> Tensor:
    """‖a‖² + ‖b‖² − 2 a·b from products (c, n), squared norms (c,) and (n,); never negative."""
    squares = torch.add(column_norms, products, alpha=-2)
    return squares.add_(row_norms[:, None]).clamp_min_(0)


def self_pairs(features: Tensor, k: int = NEIGHBOURS) -> SelfPairs:
    """Radii and kernel of one set of features (n, d). Raises for n ≤ k."""
    x = working_precision(features)
    count, dim = x.shape
    if count <= k:
        raise TooFewNeighboursError(
            f"{count} images have no {k}th neighbour; precision, recall, density and coverage"
            f" need at least {k + 1} on each side"
        )
    norms = x.square().sum(dim=1)
    radii = torch.empty_like(norms)
    total = 0.0
    for chosen, products in blocks(x, x):
        squares = squared_distances(products, norms[chosen], norms)
        # A member is no neighbour of its own; rounding may leave its distance above zero.
        squares.diagonal(offset=chosen.start).fill_(torch.inf)
        radii[chosen] = squares.topk(k, dim=1, largest=False).values[:, -1]
        kernel = polynomial(products, dim)
        kernel.diagonal(offset=chosen.start).zero_()
        total += float(kernel.sum(dtype=torch.float64))
    return SelfPairs(x, radii, total / (count * (count - 1)))


def cross_pairs(real: SelfPairs, fake: SelfPairs, k: int = NEIGHBOURS) -> CrossPairs:
    """Compare two sets whose radii were taken with the same ``k``."""
    rows, columns = real.features, fake.features
    row_norms, column_norms = rows.square().sum(dim=1), columns.square().sum(dim=1)
    within_real = torch.zeros(len(columns), dtype=torch.int64, device=columns.device)
    recalled = covered = 0
    total = 0.0
    for chosen, products in blocks(rows, columns):
        squares = squared_distances(products, row_norms[chosen], column_norms)
        inside = squares < real.radii[chosen, None]
        within_real += inside.sum(dim=0)
        covered += int(inside.any(dim=1).sum())
        recalled += int((squares < fake.radii).any(dim=1).sum())
        total += float(polynomial(products, rows.shape[1]).sum(dtype=torch.float64))
    return CrossPairs(
        precision=float((within_real > 0).double().mean()),
        recall=recalled / len(rows),
        density=float(within_real.double().mean()) / k,
        coverage=covered / len(rows),
        kernel=total / (len(rows) * len(columns)),
    )


def nearest_distances(queries: Tensor, points: Tensor) -> Tensor:
    """Euclidean distance (n,) from each query (n, d) to its nearest point (m, d).

    The nearest point is found from inner products and its distance then taken exactly, so that
    a copy is at distance zero.
    """
    q, p = working_precision(queries), working_precision(points)
    query_norms, point_norms = q.square().sum(dim=1), p.square().sum(dim=1)
    nearest = torch.empty(len(q), dtype=torch.int64, device=q.device)
    for chosen, products in blocks(q, p):
        squares = squared_distances(products, query_norms[chosen], point_norms)
        nearest[chosen] = squares.argmin(dim=1)
    return (q - p[nearest]).square().sum(dim=1).sqrt()
