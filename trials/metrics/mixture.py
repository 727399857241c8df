"""Modes captured, share of high-quality samples and reverse KL on mixtures of Gaussians.

A sample is of high quality when it lies within three standard deviations of its nearest mode; a
mode is captured when a high-quality sample is nearest to it; reverse KL is the divergence of the
high-quality samples' distribution over the modes from the uniform one,

    KL(p ‖ uniform) = Σ p log p + log M.

Paper: Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1, after Srivastava et al. 2017,
arXiv:1705.07761. Reference implementation: fjxmlzn/PacGAN, ``MetricLogger``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

DEVIATIONS = 3.0


class ModeCount(NamedTuple):
    """``modes`` captured (a count), ``high_quality`` share in [0, 1], ``reverse_kl`` in nats."""

    modes: int
    high_quality: float
    reverse_kl: float


def count_modes(samples: Tensor, centres: Tensor, std: float) -> ModeCount:
    """Judge samples (n, D) against mode centres (M, D) of standard deviation ``std``.

    Without a single high-quality sample reverse KL is its largest value, log M.
    """
    points, modes = samples.to(torch.float64), centres.to(samples.device, torch.float64)
    # The direct distance: centres are few, and std is tiny beside the coordinates.
    distances = torch.cdist(points, modes, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.min(dim=1)
    good = nearest.values < DEVIATIONS * std
    counts = torch.bincount(nearest.indices[good], minlength=len(modes)).double()
    captured = int((counts > 0).sum())
    if captured == 0:
        return ModeCount(0, 0.0, math.log(len(modes)))
    p = counts / counts.sum()
    divergence = float(torch.special.xlogy(p, p).sum()) + math.log(len(modes))
    return ModeCount(captured, float(good.double().mean()), max(0.0, divergence))
