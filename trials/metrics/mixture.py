"""Modes captured, share of high-quality samples and reverse KL on mixtures of Gaussians.

A sample is of high quality when it lies within three standard deviations of its nearest mode; a
mode is captured when a high-quality sample is nearest to it; reverse KL is the divergence of the
high-quality samples' distribution over the modes from the uniform one,

    KL(p ‖ uniform) = Σ p log p + log M.

Paper: Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1, after Srivastava et al. 2017,
arXiv:1705.07761. Reference implementation: fjxmlzn/PacGAN, `MetricLogger`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

DEVIATIONS = 3.0


class ModeCount(NamedTuple):
    """`modes` captured (a count), `high_quality` share in [0, 1], `reverse_kl` in nats."""

    modes: int
    high_quality: float
    reverse_kl: float


def count_modes(samples: Tensor, centres: Tensor, std: float) -> ModeCount:
    """Judge samples (n, D) against mode centres (M, D) of standard deviation `std`.

    Without a single high-quality sample reverse KL is its largest value, log M.
    """
    distances, nearest = _nearest(samples, centres)
    good = distances < DEVIATIONS * std
    counts = torch.bincount(nearest[good], minlength=len(centres))
    captured = int((counts > 0).sum())
    if captured == 0:
        return ModeCount(0, 0.0, math.log(len(centres)))
    return ModeCount(captured, float(good.double().mean()), _from_uniform(counts))


def reached(samples: Tensor, centres: Tensor) -> float:
    """exp(−KL(p ‖ uniform)) with p the samples' distribution over their nearest modes, in (0, 1].

    m/M where the samples lie around m of M modes in equal parts, of high quality or not: a young
    generator's blob over all modes has reached them, though it has captured none.
    """
    counts = torch.bincount(_nearest(samples, centres)[1], minlength=len(centres))
    return math.exp(-_from_uniform(counts))


def _nearest(samples: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Distance (n,) of each sample to its nearest centre, and which one that is."""
    points, modes = samples.to(torch.float64), centres.to(samples.device, torch.float64)
    # The direct distance: centres are few, and deviations are tiny beside the coordinates.
    distances = torch.cdist(points, modes, compute_mode="donot_use_mm_for_euclid_dist")
    values, indices = distances.min(dim=1)
    return values, indices


def _from_uniform(counts: Tensor) -> float:
    """KL(p ‖ uniform) in nats of counts (M,)."""
    p = counts.double() / counts.sum()
    return max(0.0, float(torch.special.xlogy(p, p).sum()) + math.log(len(counts)))
