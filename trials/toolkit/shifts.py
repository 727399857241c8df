"""Moving and mirroring images, differentiably: what several augmentations share."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (N, C, H, W) moved by whole pixels, (N,) each way, zeros filled in."""
    count, _, height, width = images.shape
    rows = torch.arange(height, device=images.device)[None] - down[:, None]
    columns = torch.arange(width, device=images.device)[None] - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None]
    index = torch.arange(count, device=images.device)[:, None, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    picked = images.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None]]
    return picked.permute(0, 3, 1, 2) * inside[:, None]


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """Images (N, C, H, W), those chosen (N,) mirrored left to right."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
