"""InfoGAN (Chen et al. 2016, arXiv:1606.03657).

    min_{G,Q} max_D  V(D, G) − λ L_I(G, Q),   L_I = E[log Q(c | G(z, c))] + H(c) ≤ I(c; G(z, c))

c joins z: one categorical code, one-hot, and continuous codes from U(−1, 1). Q is a second output
on D's features: logits of the categories; means and log variances of Gaussians for the
continuous codes. Both players minimise −λ L_I, as the paper's code does. The bound for the
categorical code, in nats, is logged as `mutual_information`; its maximum is log(categories).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.toolkit.memory import remembered
from trials.trick import Trick


def categorical_bound(logits: Tensor, codes: Tensor) -> Tensor:
    """E[log Q(c|x)] + log K of one-hot codes (N, K); a scalar, at most log K."""
    log_q = (F.log_softmax(logits, dim=1) * codes).sum(dim=1).mean()
    return log_q + math.log(codes.shape[1])


def gaussian_log_likelihood(output: Tensor, codes: Tensor) -> Tensor:
    """E Σ log N(c; μ, σ²) with output (N, 2K) = means, then log variances; a scalar."""
    mean, log_variance = output.chunk(2, dim=1)
    squares = (codes - mean).square() / log_variance.exp()
    return (-(squares + log_variance + math.log(2 * math.pi)) / 2).sum(dim=1).mean()


class InfoGAN(Trick):
    """Codes that the images must show."""

    key = "infogan"
    group = "labels"
    slot = "conditioning"
    summary = "codes joined to z must be readable from the image; no labels needed"
    formula = "-λ (E[log Q(c | G(z, c))] + H(c))"
    paper = "Chen et al. 2016, arXiv:1606.03657"

    class Config(PartConfig):
        categories: int = knob(10, "values of the categorical code; 0: none", ge=0, le=1000)
        continuous: int = knob(2, "continuous codes", ge=0, le=100)
        weight: float = knob(
            1.0, "λ", gt=0, search={"min": 0.01, "max": 10.0, "distribution": "log_uniform"}
        )
        continuous_weight: float = knob(0.1, "λ of the continuous codes, a factor on λ", gt=0)

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        if config.categories == 1 or config.categories + config.continuous == 0:
            yield Problem("conditioning.categories", "there is no code that could vary")

    @property
    def codes(self) -> int:
        """Numbers that join z."""
        return int(self.config.categories + self.config.continuous)

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        maker, judge = plan.generator, plan.discriminator
        heads = dict(judge.heads)
        if self.config.categories:
            heads["category"] = self.config.categories
        if self.config.continuous:
            heads["continuous"] = 2 * self.config.continuous
        return NetworkPlan(
            replace(maker, latent=maker.latent + self.codes), replace(judge, heads=heads)
        )

    def latent(self, game: Game, z: Tensor, stream: torch.Generator) -> Tensor:
        parts, count = [z], len(z)
        if self.config.categories:
            chosen = torch.randint(
                self.config.categories, (count,), generator=stream, device=z.device
            )
            # Not torch's one_hot, which on a CPU reads whether every number is a class.
            classes = torch.arange(self.config.categories, device=z.device)
            parts.append((chosen[:, None] == classes).to(z.dtype))
        if self.config.continuous:
            shape = (count, self.config.continuous)
            parts.append(torch.rand(shape, generator=stream, device=z.device) * 2 - 1)
        return torch.cat(parts, dim=1)

    def prepare(self, game: Game) -> None:
        self.device = game.device
        self.bound: Tensor | None = None

    def _with_information(self, round: Round, terms: Terms) -> Terms:
        assert round.fake_judgement is not None
        heads, z = round.fake_judgement.heads, round.z
        continuous = z[:, z.shape[1] - self.config.continuous :]
        categories = z[:, z.shape[1] - self.codes : z.shape[1] - self.config.continuous]
        weight, terms = self.config.weight, dict(terms)
        if self.config.categories:
            bound = categorical_bound(heads["category"], categories)
            terms["category"] = -weight * bound
            self.bound = remembered(self.bound, bound.detach(), self.device)
        if self.config.continuous:
            likelihood = gaussian_log_likelihood(heads["continuous"], continuous)
            terms["continuous"] = -weight * self.config.continuous_weight * likelihood
        return terms

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._with_information(round, terms)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._with_information(round, terms)

    def signals(self, game: Game) -> dict[str, float]:
        return {} if self.bound is None else {"mutual_information": float(self.bound)}

    def state(self) -> dict[str, Any]:
        return {"bound": self.bound}

    def load_state(self, state: dict[str, Any]) -> None:
        self.bound = remembered(self.bound, state["bound"], self.device)
