"""Instance noise (Sønderby et al. 2016, arXiv:1610.04490; Arjovsky and Bottou, arXiv:1701.04862).

    the discriminator sees x + σ(t) n,  n ~ N(0, I),  for real and generated images alike

σ(t) falls from `sigma` to 0 while `until` of the training passes: linearly, as a cosine, or
stays (`constant`, as seri's "All About Training GAN" keeps adding noise).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trials.game import Game
from trials.optimization import Decay
from trials.part import PartConfig, knob
from trials.trick import Trick


def level(sigma: float, schedule: Literal["linear", "cosine", "constant"], share: float) -> float:
    """σ when `share` of the schedule has passed; 0 after its end unless constant."""
    if schedule == "constant":
        return sigma
    return sigma * Decay.named(schedule).left(share, 0.0) if share < 1 else 0.0


class InstanceNoise(Trick):
    """Widens both distributions until they overlap."""

    key = "instance_noise"
    group = "judgement"
    summary = "Gaussian noise on everything the discriminator sees, fading away"
    formula = "D sees x + σ(t) n,  n ~ N(0, I),  σ(t) → 0"
    paper = "Sønderby et al. 2016, arXiv:1610.04490"
    order = 50

    class Config(PartConfig):
        sigma: float = knob(
            0.1,
            "noise at the start, in units of images in [-1, 1]",
            gt=0,
            le=10,
            search={"min": 0.01, "max": 0.5, "distribution": "log_uniform"},
        )
        schedule: Literal["linear", "cosine", "constant"] = knob("linear", "how the noise fades")
        until: float = knob(1.0, "share of the training after which it is gone", gt=0, le=1)

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        if game.host.choice(lambda: self._sigma(game) == 0):
            return images
        sigma = game.host.number(lambda: self._sigma(game))
        noise = torch.randn(
            images.shape,
            generator=game.streams.augmentation,
            device=images.device,
            dtype=images.dtype,
        )
        return images + sigma * noise

    def _sigma(self, game: Game) -> float:
        share = game.progress / self.config.until
        return level(self.config.sigma, self.config.schedule, share)
