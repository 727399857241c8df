"""Feature matching (Salimans et al. 2016, arXiv:1606.03498, section 3.1).

    ‖E h(x) − E h(G(z))‖²

h are the activations that the discriminator's last layer reads, or, with `layer`, the maps after
its first block of that size (the paper: an intermediate layer). The term replaces the generator's
adversarial loss, as in the paper, or joins it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Terms, Trial
from trials.networks.build import block_sizes, plan_networks
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def distance(real: Tensor, fake: Tensor) -> Tensor:
    """‖E h(x) − E h(G(z))‖² of features (N, F) each; a scalar."""
    return (real.mean(0) - fake.mean(0)).square().sum()


class ActivationTap(nn.Module):
    """The identity, which remembers the last two batches that went through it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """x, of any shape, as it is."""
        self.seen = [*self.seen[-1:], x]
        return x


class FeatureMatching(Trick):
    """The generator matches statistics instead of fooling the judge."""

    key = "feature_matching"
    group = "judgement"
    summary = "the generator matches the mean of the discriminator's features"
    formula = "‖E h(x) - E h(G(z))‖²"
    paper = "Salimans et al. 2016, arXiv:1606.03498"
    judges_real = True

    class Config(PartConfig):
        weight: float = knob(
            1.0, "weight", gt=0, search={"min": 0.01, "max": 10.0, "distribution": "log_uniform"}
        )
        mode: Literal["replace", "join"] = knob(
            "replace", "instead of the generator's adversarial loss, or beside it"
        )
        layer: int = knob(
            0, "size of the maps that are matched; 0: what the last layer reads", ge=0, le=256
        )

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is None or not config.layer:
            return
        sizes: tuple[int, ...] = ()
        if len(shape) == 3:
            plan = plan_networks(trial.networks, shape, trial.latent.dim, 0)
            sizes = block_sizes(plan.discriminator)
        if config.layer not in sizes:
            expected = ", ".join(map(str, ("0", *sorted(sizes))))
            told = f"the discriminator has no maps of {config.layer}×{config.layer}"
            yield Problem(f"tricks.{cls.key}.layer", told, f"one of {expected}")

    def __init__(self, config: Any, trial: Trial) -> None:
        super().__init__(config, trial)
        self.taps: list[ActivationTap] = []

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        if not self.config.layer:
            return plan

        def insert(resolution: int, channels: int) -> nn.Module | None:
            if resolution != self.config.layer:
                return None
            self.taps.append(ActivationTap())
            return self.taps[-1]

        judge = plan.discriminator
        inserts = (*judge.after_block, insert)
        return replace(plan, discriminator=replace(judge, after_block=inserts))

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        term = self.config.weight * self._distance(round)
        kept = {
            name: value
            for name, value in terms.items()
            if self.config.mode == "join" or name != "adversarial"
        }
        return {**kept, "feature_matching": term}

    def _distance(self, round: Round) -> Tensor:
        if not self.config.layer:
            assert round.real_judgement is not None
            assert round.fake_judgement is not None
            real = round.real_judgement.features.detach()
            return distance(real, round.fake_judgement.features)
        # Real images are judged first, and the generated ones last of all.
        seen = [tap.seen[-2:] for tap in self.taps if len(tap.seen) > 1]
        return torch.stack(
            [distance(real.detach().flatten(1), fake.flatten(1)) for real, fake in seen]
        ).sum()

    def after_generator_step(self, game: Game, round: Round) -> None:
        for tap in self.taps:
            tap.seen.clear()

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        for tap in self.taps:
            tap.seen.clear()
