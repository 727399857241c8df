"""In what precision images are looked at through the extractor: part of the protocol.

Features of half the bits are other features. They are taken of real and generated images alike, so
the distance is one; it is another than that of float32, and never meets it in a table.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from trials.devices import require_dtype
from trials.metrics.extractor import Extractor, Features
from trials.settings import Settings


class ExtractorPrecision(Settings):
    """What the extractor computes in."""

    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of convolutions and linear maps; features are float32"
    )
    channels_last: bool = Field(
        default=False, description="channels lie beside each other in memory, as tensor cores like"
    )

    def in_words(self) -> str:
        """What the protocol says of it; nothing of the default."""
        words: list[str] = [self.dtype] if self.dtype != "float32" else []
        words += ["channels last"] if self.channels_last else []
        return f"; extractor in {', '.join(words)}" if words else ""


class Lens:
    """An extractor in the precision that an evaluation asks for."""

    def __init__(
        self, extractor: Extractor, precision: ExtractorPrecision, device: torch.device
    ) -> None:
        self.extractor = extractor
        self.precision = precision
        self._device = device
        require_dtype(device, precision.dtype, "evaluation.extractor_precision.dtype")

    def __call__(self, images: Tensor) -> Features:
        """Features and logits of images (n, C, H, W) or points (n, D), float32.

        `images` are as the extractor takes them.
        """
        if self.precision.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.precision.dtype == "float32":
            return self.extractor(images)
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            features, logits = self.extractor(images)
        return Features(features.float(), None if logits is None else logits.float())
