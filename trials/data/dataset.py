"""Opened data, ready for the training loop."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from trials.data.intake import Intake
from trials.data.resize import RESIZE_RULE


@dataclass
class Dataset:
    """Images or points, with labels or without.

    `images`: uint8 (N, C, H, W) for images, possibly mapped from a file; float32 (N, D) for
    points. `labels`: int64 (N,) in [0, classes), or None. `held_out`: like `images`, not
    trained on. `modes`: float32 (M, D), the true centres where the data are a mixture, each
    with standard deviation `mode_std`. `fingerprint`: SHA-256 of all that the numbers
    measured on these data depend on. `intake`: what was left out, and how images were stored.
    """

    name: str
    fingerprint: str
    images: Tensor
    labels: Tensor | None = None
    held_out: Tensor | None = None
    class_names: tuple[str, ...] = ()
    intake: Intake = Intake()  # noqa: RUF009 - it is frozen
    modes: Tensor | None = None
    mode_std: float | None = None
    flip: bool = False

    def __post_init__(self) -> None:
        if self.labels is not None and not self.class_names:
            self.class_names = tuple(map(str, range(int(self.labels.max()) + 1)))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def kind(self) -> Literal["image", "point"]:
        return "image" if self.images.dtype == torch.uint8 else "point"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item: (C, H, W) or (D,)."""
        return tuple(self.images.shape[1:])

    @property
    def classes(self) -> int:
        """The number of classes; 0 where there are no labels."""
        return len(self.class_names) if self.labels is not None else 0

    def batch(
        self,
        indices: Tensor,
        *,
        device: torch.device | str | None = None,
        augment: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The items at `indices` (n,) as float32 on `device`, and their labels or None.

        Images are x/127.5 − 1, in [−1, 1]; points are as they are. Bytes are moved to the device
        before they become floats. With `flip` set and `augment` given, each image is mirrored
        with probability ½ drawn from `augment`; without `augment` the data are exact.
        """
        indices = indices.to(self.images.device)
        # Many times faster than self.images[indices], which copies byte by byte.
        items = self.images.index_select(0, indices)
        labels = None if self.labels is None else self.labels.index_select(0, indices)
        if device is not None:
            items = items.to(device, non_blocking=True)
            labels = None if labels is None else labels.to(device, non_blocking=True)
        return self.prepared(items, augment), labels

    def prepared(self, items: Tensor, augment: torch.Generator | None) -> Tensor:
        """Stored items (n, …) as they are trained on, where they are: see `batch`."""
        if items.dtype == torch.uint8:
            items = to_unit(items)
            if self.flip and augment is not None:
                items = mirrored(items, augment)
        return items

    def to(self, device: torch.device | str) -> Dataset:
        """The same data held on `device`, where indexing them costs no transfer."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return dataclasses.replace(
            self,
            images=self.images.to(device),
            labels=moved(self.labels),
            held_out=moved(self.held_out),
            modes=moved(self.modes),
        )

    @property
    def skipped(self) -> int:
        """Corrupt images that were left out."""
        return self.intake.left_out

    def describe(self) -> dict[str, Any]:
        """Plain facts, for `doctor`, protocols and tracking."""
        return {
            "name": self.name,
            "kind": self.kind,
            "count": len(self),
            "held_out": 0 if self.held_out is None else len(self.held_out),
            "shape": list(self.shape),
            "classes": self.classes,
            "skipped": self.skipped,
            "resize": RESIZE_RULE if self.kind == "image" else "none",
            "fingerprint": self.fingerprint,
        }


def to_unit(pixels: Tensor) -> Tensor:
    """Bytes 0 … 255 as float32 in [−1, 1]."""
    # x/127.5 − 1
    return pixels.to(torch.float32).div_(127.5).sub_(1.0)


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n, C, H, W), each mirrored left to right with probability ½."""
    coin = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return torch.where(coin.to(images.device)[:, None, None, None], images.flip(3), images)
