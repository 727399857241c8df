"""Kernel distance (KID): the unbiased squared MMD under a cubic polynomial kernel.

    k(a, b) = (a·b / d + 1)³
    KID = mean over i≠j of k(xᵢ, xⱼ) + mean over i≠j of k(yᵢ, yⱼ) − 2 · mean of k(xᵢ, yⱼ)

Paper: Bińkowski et al. 2018, arXiv:1801.01401. Reference implementations: torch-fidelity,
torchmetrics ``KernelInceptionDistance``. Those average the estimate over random subsets of 1,000;
here every pair is used, which has the same expectation, less variance and no randomness (with one
subset that holds everything, the references give the same number: the parity test). The value is
not multiplied by 1,000, and being unbiased it can be slightly negative.
"""

from __future__ import annotations

from torch import Tensor


def polynomial(products: Tensor, dim: int) -> Tensor:
    """(p / d + 1)³ of inner products (m, n) of features with ``dim`` dimensions."""
    base = products / dim + 1
    return base.square().mul_(base)


def kernel_distance(real_mean: float, fake_mean: float, cross_mean: float) -> float:
    """KID from the kernel's means: within real and within generated pairs, and across."""
    return real_mean + fake_mean - 2 * cross_mean
