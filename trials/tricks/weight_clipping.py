"""Weight clipping of WGAN (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1).

w ← clip(w, −c, c)   every discriminator weight, after every discriminator step
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from trials.game import Game, Round
from trials.part import PartConfig, knob
from trials.trick import Trick


@torch.no_grad()
def clip(parameters: Iterable[nn.Parameter], bound: float) -> None:
    """Clamp every weight to [−bound, bound], in place."""
    for parameter in parameters:
        parameter.clamp_(-bound, bound)


class WeightClipping(Trick):
    """The first way to keep a critic Lipschitz, and the roughest."""

    key = "weight_clipping"
    group = "penalties"
    summary = "clamps every discriminator weight after each of its steps"
    formula = "w ← clip(w, -c, c)"
    paper = "Arjovsky et al. 2017, arXiv:1701.07875"
    conflicts = {
        "spectral_norm": "the layers are divided by their norm, so clipping their raw weights "
        "bounds nothing"
    }

    class Config(PartConfig):
        bound: float = knob(
            0.01, "c", gt=0, search={"min": 0.005, "max": 0.5, "distribution": "log_uniform"}
        )

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        clip(game.discriminator.parameters(), self.config.bound)
