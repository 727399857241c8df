"""How near an image comes to the one it should be: PSNR and SSIM.

    PSNR = 10 log₁₀(L² / MSE)                     in decibels, one image at a time

    SSIM = (2 μₓμᵧ + C₁)(2 σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂))

with C₁ = (0.01 L)², C₂ = (0.03 L)², L the range of values, and means, variances and covariance
under a Gaussian window of 11×11 and deviation 1.5, at every place where the window fits; the mean
over places and channels (Wang, Bovik, Sheikh and Simoncelli 2004, IEEE TIP 13(4)). Images smaller
than the window take the largest odd window that fits. Agreement with torchmetrics is tested in
tests/parity.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RANGE = 2.0
"""L: images lie in [−1, 1]."""

WINDOW = 11
DEVIATION = 1.5


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Decibels of each image: (N, C, H, W) twice, in [−1, 1] → (N,); equal images: infinity."""
    error = (images - targets).square().flatten(1).mean(1)
    return 10 * torch.log10(RANGE**2 / error)


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity of each image: (N, C, H, W) twice, in [−1, 1] → (N,), at most 1."""
    channels, side = images.shape[1], min(images.shape[-2:])
    window = _gaussian(min(WINDOW, side if side % 2 else side - 1), images)
    kernel = torch.outer(window, window).expand(channels, 1, -1, -1)

    def windowed(values: Tensor) -> Tensor:
        return F.conv2d(values, kernel, groups=channels)

    mean_x, mean_y = windowed(images), windowed(targets)
    var_x = windowed(images.square()) - mean_x.square()
    var_y = windowed(targets.square()) - mean_y.square()
    covariance = windowed(images * targets) - mean_x * mean_y
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).flatten(1).mean(1)


def _gaussian(size: int, like: Tensor) -> Tensor:
    """(size,) weights that sum to 1."""
    places = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = torch.exp(-places.square() / (2 * DEVIATION**2))
    return weights / weights.sum()
