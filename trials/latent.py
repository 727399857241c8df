"""What the generator starts from."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from trials.settings import Settings


class LatentConfig(Settings):
    """Distribution and size of z."""

    distribution: Literal["normal", "uniform"] = Field(
        default="normal", description="standard normal, or uniform in [-1, 1]"
    )
    dim: int = Field(default=64, ge=1, le=4096, description="latent dimension: numbers in one z")

    def draw(self, count: int, stream: torch.Generator) -> Tensor:
        """`count` latent vectors, (count, dim), on the device of `stream`."""
        shape = (count, self.dim)
        if self.distribution == "normal":
            return torch.randn(shape, generator=stream, device=stream.device)
        return torch.rand(shape, generator=stream, device=stream.device) * 2 - 1
