"""Hinge loss (Lim and Ye 2017, arXiv:1705.02894; SAGAN arXiv:1805.08318).

discriminator  E relu(1 − r) + E relu(1 + f)
generator      −E f
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from trials.game import Round
from trials.losses.base import AdversarialLoss
from trials.part import PartConfig, knob


class Hinge(AdversarialLoss):
    """Scores beyond the margin give the discriminator no gradient."""

    key = "hinge"
    summary = "a margin on both sides; the loss of SNGAN, SAGAN and BigGAN"
    formula = "D: E relu(m - r) + E relu(m + f)    G: -E f    m = 1"
    paper = "Lim and Ye 2017, arXiv:1705.02894"

    class Config(PartConfig):
        margin: float = knob(1.0, "m, the score beyond which D is content", gt=0)

    def discriminator(self, round: Round) -> Tensor:
        m = self.config.margin
        return F.relu(m - round.r).mean() + F.relu(m + round.f).mean()

    def generator(self, round: Round) -> Tensor:
        return -round.f.mean()
