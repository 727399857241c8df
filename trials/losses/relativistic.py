"""Relativistic losses (Jolicoeur-Martineau 2018, arXiv:1807.00734).

`relativistic` (RSGAN): is this real image more real than that generated one?

    discriminator  E softplus(−(r − f))
    generator      E softplus(−(f − r))          real and generated images in pairs

`relativistic_average` (RaSGAN and kin): more real than the average generated image?
With r̃ = r − E f and f̃ = f − E r:

    standard   D: E softplus(−r̃) + E softplus(f̃)             G: roles of r and f swapped
    lsgan      D: E (r̃ − 1)² + E (f̃ + 1)²
    hinge      D: E relu(1 − r̃) + E relu(1 + f̃)

The paper's appendix writes RaSGAN as a sum of both terms and divides neither by two.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from trials.game import Round
from trials.losses.base import UncentredLoss
from trials.part import PartConfig, knob

Base = Literal["standard", "lsgan", "hinge"]


def paired(winner: Tensor, loser: Tensor) -> Tensor:
    """E softplus(−(winner − loser)) over pairs of scores (N,); a scalar."""
    return F.softplus(loser - winner).mean()


def average(winner: Tensor, loser: Tensor, base: Base) -> Tensor:
    """The loss of the player who wants `winner` above the average of `loser`; a scalar.

    Scores (N,), or (S, N) of several judges, whose averages are each their own.
    """
    above = winner - loser.mean(-1, keepdim=True)
    below = loser - winner.mean(-1, keepdim=True)
    if base == "lsgan":
        return (above - 1).square().mean() + (below + 1).square().mean()
    if base == "hinge":
        return F.relu(1 - above).mean() + F.relu(1 + below).mean()
    return F.softplus(-above).mean() + F.softplus(below).mean()


class Relativistic(UncentredLoss):
    """Scores count only against each other."""

    key = "relativistic"
    summary = "judges pairs: is the real image more real than the generated one?"
    formula = "D: E softplus(-(r - f))    G: E softplus(-(f - r))"
    paper = "Jolicoeur-Martineau 2018, arXiv:1807.00734"
    judges_real = True

    def discriminator(self, round: Round) -> Tensor:
        return paired(round.r, round.f)

    def generator(self, round: Round) -> Tensor:
        return paired(round.f, round.r)


class RelativisticAverage(UncentredLoss):
    """Scores count against the average of the other side."""

    key = "relativistic_average"
    summary = "judges each image against the average of the other side"
    formula = "D: E softplus(-(r - E f)) + E softplus(f - E r)    G: roles swapped"
    paper = "Jolicoeur-Martineau 2018, arXiv:1807.00734"
    judges_real = True

    class Config(PartConfig):
        base: Base = knob(
            "standard",
            "the loss made relativistic",
            search={"values": ["standard", "lsgan", "hinge"]},
        )

    def discriminator(self, round: Round) -> Tensor:
        return average(round.by_judge(round.r), round.by_judge(round.f), self.config.base)

    def generator(self, round: Round) -> Tensor:
        return average(round.by_judge(round.f), round.by_judge(round.r), self.config.base)
