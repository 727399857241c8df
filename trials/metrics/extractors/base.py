"""What every feature extractor offers, and the one map from images to bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trials.errors import ExtractorError

QUANTISATION = "round((x+1)*127.5) clamped to 0..255"


class Features(NamedTuple):
    """``features`` (n, d) float32; ``logits`` (n, k) float32 where the network classifies."""

    features: Tensor
    logits: Tensor | None


class Extractor(Protocol):
    """A fixed map from images (or points) to features. Never trained, always in eval mode."""

    name: str
    dim: int
    classes: int
    """Number of classes of the logits; 0 where there are none."""
    fingerprint: str
    """sha256 of the weights: part of every protocol and of the cache's key."""
    resize: str
    """The rule by which images are brought to the size the network wants."""

    def __call__(self, images: Tensor) -> Features:
        """Features of images (n, C, H, W) or points (n, D), without gradients.

        Images are float in [−1, 1] and are quantised by :func:`quantise`; uint8 images are
        taken as they are. Points are used as they are.
        """
        ...

    def layers(self, images: Tensor) -> list[Tensor]:
        """Activations of several depths for images in [−1, 1], differentiable, not quantised."""
        ...


def quantise(images: Tensor) -> Tensor:
    """Images in [−1, 1] as bytes: round((x + 1) · 127.5), clamped to 0…255; uint8 unchanged.

    The inverse of the data's x / 127.5 − 1, so real images come back exactly. NaN becomes 0.
    """
    if images.dtype == torch.uint8:
        return images
    levels = ((images.detach() + 1) * 127.5).round().nan_to_num(0.0).clamp(0, 255)
    return levels.to(torch.uint8)


def require_images(images: Tensor, name: str) -> None:
    """Raise ExtractorError unless ``images`` is (n, 1 or 3, H, W)."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ExtractorError(
            f"the {name} extractor takes images (n, 1 or 3, H, W), got {tuple(images.shape)}"
        )


def as_rgb(images: Tensor) -> Tensor:
    """Three channels: a single channel is repeated."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def fingerprint_file(path: Path) -> str:
    """sha256 of a file's bytes, hex. Raises ExtractorError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExtractorError(f"cannot read the extractor's weights: {error}") from error


def require_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Raise ExtractorError, naming what differs, unless names and shapes are those expected."""
    missing = sorted(set(expected) - set(state))
    foreign = sorted(set(state) - set(expected))
    shapes = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(set(state) & set(expected))
        if state[name].shape != expected[name].shape
    ]
    complaints = [
        f"{label}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for label, names in (("missing", missing), ("unknown", foreign), ("shapes", shapes))
        if names
    ]
    if complaints:
        raise ExtractorError(f"these are not weights of {what}; {'; '.join(complaints)}")
