"""What is remembered from step to step stays where it is: a graph that repeats a step reads and
writes it there."""

from __future__ import annotations

import torch
from torch import Tensor


def written(place: Tensor, value: Tensor) -> Tensor:
    """`value` in the memory of `place`; where it has another shape, in its own on that device."""
    return place.copy_(value) if place.shape == value.shape else value.to(place.device)


def remembered(place: Tensor | None, value: Tensor | None, device: torch.device) -> Tensor | None:
    """The same of what may not be there yet."""
    if place is None or value is None:
        return None if value is None else value.to(device, copy=True)
    return written(place, value)
