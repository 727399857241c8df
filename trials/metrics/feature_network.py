"""A small classifier whose features measure images of the kind that it was trained on.

    side × side ─ 32 ─ halved ─ 64 ─ halved ─ … ─ 64 at 4 to 7 pixels ─ 64 ─ mean ─ features
                                                                              └─ linear ─ logits

Every number is the channels of a 3×3 convolution with batch normalisation and ReLU. The shipped
digits network is one of the kind, made by hand for 8×8. Few features are wanted: the covariance of
64 is known from a few hundred images.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from trials.errors import ExtractorError
from trials.metrics.extractor import as_rgb, require_images

FIRST = 32
FEATURES = 64
SMALLEST = 8
"""From this side on a map is halved."""


class FeatureNetwork(nn.Module):
    """(n, channels, side, side) in [−1, 1] → features (n, 64) and logits (n, classes)."""

    def __init__(self, side: int, channels: int, classes: int) -> None:
        super().__init__()
        blocks = [convolved(channels, FIRST)]
        while side >= SMALLEST:
            side //= 2
            inputs = FIRST if len(blocks) == 1 else FEATURES
            blocks.append(nn.Sequential(nn.MaxPool2d(2), convolved(inputs, FEATURES)))
        blocks.append(convolved(FIRST if len(blocks) == 1 else FEATURES, FEATURES))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(FEATURES, classes)

    def activations(self, x: Tensor) -> list[Tensor]:
        """The map after every block, from the finest to the coarsest."""
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, 64) and logits (n, classes)."""
        features = self.activations(x)[-1].mean(dim=(2, 3))
        return features, self.head(features)


def convolved(inputs: int, outputs: int) -> nn.Sequential:
    """A 3×3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def fault_of_form(height: int, width: int, side: int, name: str) -> str:
    """Why images cannot be averaged to `side` × `side`; empty where they can."""
    if height == width and height % side == 0:
        return ""
    return (
        f"the {name} extractor takes square images of a multiple of {side} pixels,"
        f" got {height}×{width}"
    )


def to_form(images: Tensor, channels: int, side: int, name: str) -> Tensor:
    """Images (n, C, H, W) as (n, channels, side, side): channels averaged or repeated, pixels
    averaged over equal areas.

    Raises:
        ExtractorError: they are not square, or no multiple of `side`.
    """
    require_images(images, name)
    height, width = images.shape[-2:]
    if reason := fault_of_form(height, width, side, name):
        raise ExtractorError(reason)
    images = as_rgb(images) if channels == 3 else images.mean(dim=1, keepdim=True)
    return images if height == side else F.avg_pool2d(images, height // side)
