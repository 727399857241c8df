"""The original game and its non-saturating form (Goodfellow et al. 2014, arXiv:1406.2661).

With raw scores r = D(x), f = D(G(z)) and softplus(a) = log(1 + e^a), −log σ(a) = softplus(−a):

    discriminator   E softplus(−r) + E softplus(f)
    minimax         −E softplus(f)         the generator of the original game; saturates
    non_saturating  E softplus(−f)

With targets t in place of 1 and 0 the discriminator's term is the cross-entropy
t·softplus(−s) + (1−t)·softplus(s).
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from trials.game import Round
from trials.losses.base import AdversarialLoss, Target


def cross_entropy(score: Tensor, target: Target) -> Tensor:
    """E[t·softplus(−s) + (1−t)·softplus(s)] of raw scores (N,); a scalar."""
    if isinstance(target, float):
        if target == 1.0:
            return F.softplus(-score).mean()
        if target == 0.0:
            return F.softplus(score).mean()
    # t·softplus(−s) + (1−t)·softplus(s) = softplus(s) − t·s
    return (F.softplus(score) - target * score).mean()


class _Standard(AdversarialLoss):
    takes_targets: ClassVar[bool] = True
    paper: ClassVar[str] = "Goodfellow et al. 2014, arXiv:1406.2661"

    def discriminator(self, round: Round) -> Tensor:
        return cross_entropy(round.r, round.real_target) + cross_entropy(round.f, round.fake_target)


class Minimax(_Standard):
    """The saturating game."""

    key = "minimax"
    summary = "the original game; the generator's gradient vanishes when D wins"
    formula = "D: E softplus(-r) + E softplus(f)    G: -E softplus(f)"

    def generator(self, round: Round) -> Tensor:
        return -F.softplus(round.f).mean()


class NonSaturating(_Standard):
    """The usual form."""

    key = "non_saturating"
    summary = "the original discriminator; the generator maximises log D(G(z))"
    formula = "D: E softplus(-r) + E softplus(f)    G: E softplus(-f)"

    def generator(self, round: Round) -> Tensor:
        return F.softplus(-round.f).mean()
