"""A fixed random network: features of colour images of any size, without weights to fetch.

    x₀ = image
    xᵢ = ReLU(Kᵢ ∗ halved(xᵢ₋₁))                           3×3, 32 channels, edges mirrored
    f  = 2×2 means of x₀ ⊕ means of x₁ … xₙ ⊕ 2×2 means of xₙ

Maps are halved, by averages of 2×2 pixels, until a side has 4 or fewer; x₁ keeps the size of the
image. So nothing is resized, every scale has its features, and the coarsest map says where.

The network is a seed and a rule, and the same on every machine to the last bit. The numbers of
layer i are the upper 24 bits of each word of Philox4x64-10 (Salmon et al. 2011,
doi:10.1145/2063384.2063405) under the key i, as odd integers around 0. From each filter its mean is
taken, in integers, so that it sees differences, and the maps of different images do not all come to
look alike with depth; then it is scaled to uniform numbers in ±√(12 / inputs), with which
activations of pictures neither die nor explode over seven layers. The hash in the protocol is of
these weights and of the rule.

What it is worth: distances in features of a random network do put generators in order, and are
blind to nothing for want of training on such images (Naeem et al. 2020, arXiv:2002.09797, measure
with a random VGG where ImageNet's classes mean nothing). They know nothing of what people look at.
A network that was trained on such images is better, where there are labels (`sweeper extractor
train`); Inception is what others have published with. docs/measures.md has all three side by side
with the classifier made for digits.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trials.errors import ExtractorError
from trials.metrics.extractor import Extractor, Features, as_rgb, quantise, require_images
from trials.precision import multiplied

WIDTH = 32
SMALLEST = 4
"""From a map of this side on nothing is halved."""

LAYERS = 12
"""Enough for 8,192 pixels."""

RULE = "conv3x3x32 reflect, relu, avgpool2; pools 2x2(x0)+mean(x1..xn)+2x2(xn); philox4x64 u24"


@cache
def kernels() -> tuple[Tensor, ...]:
    """The filters of every layer, (32, inputs, 3, 3) float32."""
    return tuple(_kernel(layer, 3 if layer == 0 else WIDTH) for layer in range(LAYERS))


def _kernel(layer: int, inputs: int) -> Tensor:
    count = inputs * 9
    words = np.random.Philox(key=layer).random_raw(WIDTH * count)
    # Integers, and then one product of doubles: exact, whatever adds and multiplies.
    numbers = (2 * (words >> np.uint64(40)).astype(np.int64) + 1 - 2**24).reshape(WIDTH, count)
    centred = numbers * count - numbers.sum(axis=1, keepdims=True)
    scale = np.sqrt(12 / count) / (count * 2.0**24)
    return torch.from_numpy((centred * scale).astype(np.float32).reshape(WIDTH, inputs, 3, 3))


@cache
def fingerprint() -> str:
    """sha256 of the rule and all weights, hex."""
    digest = hashlib.sha256(RULE.encode())
    for kernel in kernels():
        digest.update(kernel.numpy().astype("<f4").tobytes())
    return digest.hexdigest()


class RandomExtractor(Extractor):
    """Features are pooled maps of the random network; `shape` is one image's, (C, H, W)."""

    key = "random"
    summary = "a fixed random network: any images, nothing to fetch, and nothing known of them"
    order = 35
    classes = 0
    resize = "none"

    def __init__(self, shape: tuple[int, ...], device: torch.device | str | None = None) -> None:
        _, height, width = shape
        if min(height, width) < 2:
            raise ExtractorError(
                f"the random extractor takes images of 2×2 pixels or more, got {height}×{width}"
            )
        self.depth = 1
        while min(height, width) > SMALLEST and self.depth < LAYERS:
            self.depth, height, width = self.depth + 1, height // 2, width // 2
        self.dim = 3 * 4 + self.depth * WIDTH + 4 * WIDTH
        self.device = torch.device(device or "cpu")
        self.kernels = [kernel.to(self.device) for kernel in kernels()[: self.depth]]
        self.fingerprint = fingerprint()

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> RandomExtractor:
        return cls(shape, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        levels = quantise(images).to(self.device, torch.float32)
        seen = levels / 127.5 - 1
        with multiplied(tf32=False):  # also in the steps of a training that rounds in its own
            maps = self.layers(seen)
        pooled = [_quarters(as_rgb(seen)), *(x.mean(dim=(2, 3)) for x in maps), _quarters(maps[-1])]
        return Features(torch.cat(pooled, dim=1), None)

    def layers(self, images: Tensor) -> list[Tensor]:
        require_images(images, self.key)
        x = as_rgb(images.to(self.device))
        maps: list[Tensor] = []
        for kernel in self.kernels:
            x = F.avg_pool2d(x, 2) if maps else x
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel))
            maps.append(x)
        return maps


def _quarters(maps: Tensor) -> Tensor:
    """The means of the four quarters of every map, (n, 4 c)."""
    return F.adaptive_avg_pool2d(maps, 2).flatten(start_dim=1)
