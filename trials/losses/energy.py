"""Losses of autoencoder discriminators: EBGAN and BEGAN.

e(x) is the reconstruction error of one sample, the mean over its numbers of |x − D(x)|^p.

`ebgan` (Zhao et al. 2016, arXiv:1609.03126), p = 2, margin m:

    discriminator  E e(x) + E relu(m − e(G(z)))
    generator      E e(G(z)) + w_pt · PT(S),   PT = 1/(N(N−1)) Σ_{i≠j} (S_iᵀS_j / ‖S_i‖‖S_j‖)²

S are the codes; the paper squares the cosine, and it is followed.

`began` (Berthelot et al. 2017, arXiv:1703.10717), p = 1:

    discriminator  E e(x) − k E e(G(z))
    generator      E e(G(z))
    k ← clip(k + λ(γ E e(x) − E e(G(z))), 0, 1),   M = E e(x) + |γ E e(x) − E e(G(z))|

The paper draws separate z for both players' steps, and so does the trainer; k follows the
discriminator's batch. Either loss brings its autoencoder: `networks.discriminator` is read as
that family's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.losses.base import UncentredLoss
from trials.networks.plan import Judgement
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.toolkit.memory import written


def energy(seen: Tensor, again: Tensor, power: int) -> Tensor:
    """e(x) of each sample: (N, …), (N, …) → (N,)."""
    error = (seen - again).abs()
    return (error if power == 1 else error.square()).flatten(1).mean(1)


def short_of(margin: float, energies: Tensor) -> Tensor:
    """E relu(m − e) of energies (N,); a scalar. The margin is each sample's own."""
    return F.relu(margin - energies).mean()


def pulling_away(codes: Tensor) -> Tensor:
    """The mean squared cosine between the codes (N, K) of different samples; a scalar.

    One sample has no other to be like, and the sum over no pairs is 0.
    """
    unit = F.normalize(codes, dim=1)
    cosines = (unit @ unit.T).square()
    count = len(codes)
    return (cosines.sum() - cosines.diagonal().sum()) / max(1, count * (count - 1))


def next_k(k: Tensor, real: Tensor, fake: Tensor, gamma: float, rate: float) -> Tensor:
    """k + λ(γ e(x) − e(G(z))), clipped to [0, 1]; scalars."""
    return (k + rate * (gamma * real - fake)).clamp(0, 1)


def convergence(real: Tensor, fake: Tensor, gamma: float) -> Tensor:
    """M = e(x) + |γ e(x) − e(G(z))|; scalars."""
    return real + (gamma * real - fake).abs()


class _Energy(UncentredLoss):
    power = 2

    @classmethod
    def networks(cls, config: Any) -> Mapping[str, Mapping[str, Any]]:
        return {"discriminator": {"family": "autoencoder"}}

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        judge = trial.networks.discriminator.name
        if judge != "autoencoder":
            path = "networks.discriminator.family"
            yield Problem(path, f"'{cls.key}' has an autoencoder judge, not {judge}", "autoencoder")

    def _energy(self, seen: Tensor | None, judgement: Judgement | None) -> Tensor:
        assert seen is not None
        assert judgement is not None
        assert judgement.reconstruction is not None, "the discriminator is no autoencoder"
        return energy(seen, judgement.reconstruction, self.power)

    def _real(self, round: Round) -> Tensor:
        """e(x), (N,)."""
        return self._energy(round.seen_real, round.real_judgement)

    def _fake(self, round: Round) -> Tensor:
        """e(G(z)), (N,)."""
        return self._energy(round.seen_fake, round.fake_judgement)

    def generator(self, round: Round) -> Tensor:
        return self._fake(round).mean()


class EnergyBased(_Energy):
    """Energy with a margin."""

    key = "ebgan"
    summary = "the discriminator is an autoencoder; its error is the energy, up to a margin"
    formula = "D: E e(x) + E relu(m - e(G))    G: E e(G) + w PT(codes)"
    paper = "Zhao et al. 2016, arXiv:1609.03126"

    class Config(PartConfig):
        margin: float = knob(
            1.0,
            "m, in mean squared error of images in [-1, 1]",
            gt=0,
            search={"min": 0.05, "max": 2.0, "distribution": "log_uniform"},
        )
        pulling_away: float = knob(0.1, "weight of the pulling-away term; 0: none", ge=0)

    def discriminator(self, round: Round) -> Tensor:
        return self._real(round).mean() + short_of(self.config.margin, self._fake(round))

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        terms = super().generator_terms(game, round, terms)
        if self.config.pulling_away:
            assert round.fake_judgement is not None
            apart = pulling_away(round.fake_judgement.features)
            terms = {**terms, "pulling_away": self.config.pulling_away * apart}
        return terms


class BoundaryEquilibrium(_Energy):
    """Keeps the two energies at a ratio."""

    key = "began"
    summary = "an autoencoder discriminator, held at an equilibrium with the generator"
    formula = "D: E e(x) - k E e(G)    G: E e(G)    k ← clip(k + λ(γ e(x) - e(G)), 0, 1)"
    paper = "Berthelot et al. 2017, arXiv:1703.10717"
    power = 1

    class Config(PartConfig):
        gamma: float = knob(
            0.5, "γ, diversity: e(G)/e(x) aimed at", gt=0, le=1, search={"min": 0.3, "max": 0.9}
        )
        rate: float = knob(
            0.001,
            "λ, how fast k moves",
            gt=0,
            search={"min": 0.0003, "max": 0.03, "distribution": "log_uniform"},
        )

    def prepare(self, game: Game) -> None:
        self.k = torch.zeros((), device=game.device)
        self.measure = torch.zeros((), device=game.device)
        self.parts: list[Tensor] = []  # mean energies of x and of G(z), (2,), of a step's parts

    def discriminator(self, round: Round) -> Tensor:
        real, fake = self._real(round).mean(), self._fake(round).mean()
        self.parts.append(torch.stack([real, fake]).detach())
        # Of a copy: the graph of an imagined step still needs a k that is forgotten (unrolled).
        return real - self.k.clone() * fake

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        real, fake = torch.stack(self.parts).mean(0)
        self.parts = []
        written(self.measure, convergence(real, fake, self.config.gamma))
        written(self.k, next_k(self.k, real, fake, self.config.gamma, self.config.rate))

    def signals(self, game: Game) -> dict[str, float]:
        return {"k": float(self.k), "convergence": float(self.measure)}

    def state(self) -> dict[str, Any]:
        return {"k": self.k, "measure": self.measure, "parts": list(self.parts)}

    def load_state(self, state: dict[str, Any]) -> None:
        written(self.k, state["k"])
        written(self.measure, state["measure"])
        self.parts = list(state["parts"])
