"""Measures over nearest neighbours: precision, recall, density and coverage.

With B(x, S) the ball around x that reaches to x's k-th neighbour within its own set S:

    precision = mean over generated y of  [y in B(x, real) for some real x]
    recall    = mean over real x of       [x in B(y, generated) for some generated y]
    density   = 1/k · mean over y of      #{real x : y in B(x, real)}
    coverage  = mean over real x of       [some generated y in B(x, real)]

Papers: Kynkäänniemi et al. 2019, arXiv:1904.06991 (precision, recall); Naeem et al. 2020,
arXiv:2002.09797 (density, coverage, and one k = 5 for all four). Reference implementation:
clovaai `prdc`, with which the parity test agrees exactly in float64.

The same inner products serve the polynomial kernel of `trials.metrics.kernel`, so both are
taken from one sweep over square tiles that stay in the processor's cache; the full matrix of
distances never exists. A GPU is given larger tiles, and nothing is read from it before the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trials.errors import TrialError
from trials.metrics.kernel import KernelSum
from trials.metrics.needs import NEIGHBOURS

TILE = 1024
"""Rows and columns of one tile of inner products: 4 MB in float32."""

GPU_TILE = 8192
"""The same on a GPU, which needs that much to do at a time: 256 MB in float32."""

Heard = Callable[[float], object]
"""Hears which share of the pairs has been gone through, after each row of tiles."""

EXACT_DIM = 256
"""Up to this many features everything is float64, which costs little there.

‖a‖² + ‖b‖² − 2 a·b loses the digits that a and b share. In a plane, where neighbours are close
and far from the origin, float32 would lose all of them; among thousands of features, few.
"""


class TooFewNeighboursError(TrialError):
    """A set has no k-th neighbour."""


@dataclass(frozen=True)
class SelfPairs:
    """One set against itself: squared `radii` (n,) to the k-th neighbour; the `kernel`'s
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
    """Features (n, d) in the type in which distances are taken; see `EXACT_DIM`."""
    exact = features.dtype == torch.float64 or features.shape[1] <= EXACT_DIM
    return features.detach().to(torch.float64 if exact else torch.float32)


def spans(count: int, device: torch.device) -> Iterator[slice]:
    """`count` rows in consecutive slices of at most a tile's side on this device."""
    side = GPU_TILE if device.type == "cuda" else TILE
    for start in range(0, count, side):
        yield slice(start, min(start + side, count))


def _unheard(share: float) -> None:
    """Nobody asks how far it is."""


def squared_distances(products: Tensor, row_norms: Tensor, column_norms: Tensor) -> Tensor:
    """‖a‖² + ‖b‖² − 2 a·b from products (c, n), squared norms (c,) and (n,); never negative."""
    squares = torch.add(column_norms, products, alpha=-2)
    return squares.add_(row_norms[:, None]).clamp_min_(0)


def self_pairs(features: Tensor, k: int = NEIGHBOURS, heard: Heard = _unheard) -> SelfPairs:
    """Radii and kernel of one set of features (n, d); `heard` is told how far it is.

    Raises:
        TooFewNeighboursError: n ≤ k.
    """
    x = working_precision(features)
    count = len(x)
    if count <= k:
        raise TooFewNeighboursError(
            f"{count} images have no {k}th neighbour; precision, recall, density and coverage"
            f" need at least {k + 1} on each side"
        )
    norms = x.square().sum(dim=1)
    nearest = torch.full((count, k), torch.inf, dtype=x.dtype, device=x.device)
    kernel = KernelSum(x, x)
    for rows in spans(count, x.device):
        for columns in spans(count, x.device):
            if columns.start < rows.start:
                continue  # the matrix is symmetric: its upper half tells all
            products = x[rows] @ x[columns].T
            mirrored = columns.start > rows.start
            kernel.add(products, times=2 if mirrored else 1)
            squares = squared_distances(products, norms[rows], norms[columns])
            if mirrored:
                _keep_nearest(nearest[columns], squares.T.contiguous())
            else:
                # A member is no neighbour of its own; rounding may leave it a distance.
                squares.fill_diagonal_(torch.inf)
            _keep_nearest(nearest[rows], squares)
        heard(1 - (1 - rows.stop / count) ** 2)
    return SelfPairs(x, nearest[:, -1].clone(), kernel.mean_of_different(norms))


def _keep_nearest(nearest: Tensor, squares: Tensor) -> None:
    """Merge new squared distances (c, n) into the rows' k smallest so far (c, k), ascending."""
    k = nearest.shape[1]
    smallest = squares.topk(min(k, squares.shape[1]), dim=1, largest=False).values
    merged = torch.cat([nearest, smallest], dim=1)
    nearest.copy_(merged.topk(k, dim=1, largest=False, sorted=True).values)


def cross_pairs(
    real: SelfPairs, fake: SelfPairs, k: int = NEIGHBOURS, heard: Heard = _unheard
) -> CrossPairs:
    """Compare two sets whose radii were taken with the same `k`; `heard` is told how far it is."""
    x, y = real.features, fake.features
    x_norms, y_norms = x.square().sum(dim=1), y.square().sum(dim=1)
    balls = torch.zeros(len(y), dtype=torch.int64, device=y.device)
    recalled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    covered = torch.zeros_like(recalled)
    kernel = KernelSum(x, y)
    for rows in spans(len(x), x.device):
        for columns in spans(len(y), x.device):
            products = x[rows] @ y[columns].T
            kernel.add(products)
            squares = squared_distances(products, x_norms[rows], y_norms[columns])
            inside = squares < real.radii[rows, None]
            balls[columns] += inside.sum(dim=0)
            covered[rows] |= inside.any(dim=1)
            recalled[rows] |= (squares < fake.radii[columns]).any(dim=1)
        heard(rows.stop / len(x))
    return CrossPairs(
        precision=float((balls > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(balls.double().mean()) / k,
        coverage=float(covered.double().mean()),
        kernel=kernel.mean(),
    )


def nearest_distances(queries: Tensor, points: Tensor) -> Tensor:
    """Euclidean distance (n,) from each query (n, d) to its nearest point (m, d).

    The nearest point is found from inner products and its distance then taken exactly, so that
    a copy is at distance zero.
    """
    q, p = working_precision(queries), working_precision(points)
    query_norms, point_norms = q.square().sum(dim=1), p.square().sum(dim=1)
    nearest = torch.zeros(len(q), dtype=torch.int64, device=q.device)
    smallest = torch.full_like(query_norms, torch.inf)
    for rows in spans(len(q), q.device):
        for columns in spans(len(p), q.device):
            products = q[rows] @ p[columns].T
            squares = squared_distances(products, query_norms[rows], point_norms[columns])
            found, places = squares.min(dim=1)
            # What is no number is nearest, and stays so: no distance hides it.
            closer = ~(found >= smallest[rows]) & ~smallest[rows].isnan()
            nearest[rows] = torch.where(closer, places + columns.start, nearest[rows])
            smallest[rows] = torch.where(closer, found, smallest[rows])
    return (q - p[nearest]).square().sum(dim=1).sqrt()
