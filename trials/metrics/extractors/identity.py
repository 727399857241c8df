"""Raw coordinates as features: for two-dimensional data, and for images as a plain yardstick.

Points are passed through. Images are quantised and flattened to levels / 127.5 − 1, which needs
no weights but sees pixels, not shapes: useful where nothing better is at hand, and refused where
the flattened image would make the covariance unreasonable.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from trials.errors import ExtractorError
from trials.metrics.extractor import Extractor, Features, quantise

LARGEST = 4096


class IdentityExtractor(Extractor):
    """Features are the coordinates. `shape` is one sample's: (D,) or (C, H, W)."""

    key = "identity"
    summary = "the coordinates themselves, or the pixels"
    order = 40
    takes = frozenset({"image", "point"})
    suits_kinds = frozenset({"point"})
    classes = 0
    resize = "none"
    fingerprint = "identity"

    def __init__(self, shape: tuple[int, ...], device: torch.device | str | None = None) -> None:
        self.dim = prod(shape)
        if reason := self.misfit(None, shape):
            raise ExtractorError(reason)
        self.device = torch.device(device or "cpu")

    @classmethod
    def misfit(cls, config: Any, shape: tuple[int, ...]) -> str:
        if (numbers := prod(shape)) <= LARGEST:
            return ""
        return (
            f"the identity extractor would give {numbers} features for images of"
            f" {shape}; it takes up to {LARGEST}"
        )

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> IdentityExtractor:
        return cls(shape, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        images = images.detach().to(self.device)
        if images.ndim > 2:
            images = quantise(images).float() / 127.5 - 1
        return Features(images.flatten(start_dim=1).float(), None)

    def layers(self, images: Tensor) -> list[Tensor]:
        return [images]
