"""f-GAN: any f-divergence as the game (Nowozin, Cseke and Tomioka 2016, arXiv:1606.00709).

    D_f(P‖Q) ≥ E_P T − E_Q f*(T),   T = g(D(x)),   f* the convex conjugate of f

    discriminator  −E g(r) + E f*(g(f))
    generator      −E g(f)              `alternative`, section 3.2: as the non-saturating game
                   −E f*(g(f))          `original`

g and f* as in the paper's tables 2 and 6; a higher score is more real in each.

    divergence          g(v)                    f*(g(v))
    kl                  v                       exp(v − 1)
    reverse_kl          −exp(−v)                v − 1
    pearson             v                       v²/4 + v
    neyman              1 − exp(−v)             2 − 2 exp(−v/2)
    squared_hellinger   1 − exp(−v)             exp(v) − 1
    jensen_shannon      log 2 − softplus(−v)    softplus(v) − log 2

An image passes for real above the score at which g = f′(1): 1 of `kl`, 0 of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from trials.game import Round
from trials.losses.base import AdversarialLoss
from trials.part import PartConfig, knob

Elementwise = Callable[[Tensor], Tensor]

DIVERGENCES: dict[str, tuple[Elementwise, Elementwise]] = {
    "kl": (lambda v: v, lambda v: torch.exp(v - 1)),
    "reverse_kl": (lambda v: -torch.exp(-v), lambda v: v - 1),
    "pearson": (lambda v: v, lambda v: v.square() / 4 + v),
    "neyman": (lambda v: 1 - torch.exp(-v), lambda v: 2 - 2 * torch.exp(-v / 2)),
    "squared_hellinger": (lambda v: 1 - torch.exp(-v), lambda v: torch.exp(v) - 1),
    "jensen_shannon": (
        lambda v: math.log(2) - softplus(-v),
        lambda v: softplus(v) - math.log(2),
    ),
}
"""Divergence → (g, f* ∘ g) of raw scores of any shape."""

BORDERS = {"kl": 1.0}
"""The score v with g(v) = f′(1), where it is not 0."""


def bound(r: Tensor, f: Tensor, divergence: str) -> Tensor:
    """E g(r) − E f*(g(f)), a lower bound of the divergence, of raw scores (N,); a scalar."""
    activation, conjugate = DIVERGENCES[divergence]
    return activation(r).mean() - conjugate(f).mean()


class FDivergence(AdversarialLoss):
    """The discriminator estimates an f-divergence, and the generator shrinks it."""

    key = "f_divergence"
    summary = "any f-divergence as the game: KL, reverse KL, Pearson, Hellinger, Jensen-Shannon"
    formula = "D: -E g(r) + E f*(g(f))    G: -E g(f), or -E f*(g(f))"
    paper = "Nowozin, Cseke and Tomioka 2016, arXiv:1606.00709"

    class Config(PartConfig):
        divergence: Literal[
            "kl", "reverse_kl", "pearson", "neyman", "squared_hellinger", "jensen_shannon"
        ] = knob("pearson", "of the data from what is generated")
        generator: Literal["alternative", "original"] = knob(
            "alternative", "what the generator minimises"
        )

    def discriminator(self, round: Round) -> Tensor:
        return -bound(round.r, round.f, self.config.divergence)

    def generator(self, round: Round) -> Tensor:
        activation, conjugate = DIVERGENCES[self.config.divergence]
        if self.config.generator == "original":
            return -conjugate(round.f).mean()
        return -activation(round.f).mean()

    def border(self, round: Round) -> float:
        return BORDERS.get(self.config.divergence, 0.0)
