"""Ensembles of generators (Wang, Zhang and van de Weijer 2016, arXiv:1612.00991).

    S ← S ∪ {argmin_i d²(S ∪ {i})}   as long as the Fréchet distance d² of the mixture falls

A single GAN drops modes, and others at other times. Candidates are collected while it trains, and
after each new one the mixture is chosen anew: first the candidate nearest to the data, then again
and again the one with which the mixture comes nearest, up to `members`. The mixture, in equal
shares, is what is sampled, scored and saved.

d² falls with the number of samples and varies from one sampling to the next, so every mixture is
judged by as many samples as a single candidate, and only a fall that is no chance adds a member.

Candidates are snapshots of one training (the paper's self-ensembles) or, with `restart`, GANs of
their own, each trained from new weights for an equal part of the steps (its standard ensembles).
They are sampled as an evaluation would sample them, with their running batch statistics; the
distance is taken in the evaluation's feature space, to `REAL` real images. The paper mixes
all its members and does not choose.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Trial
from trials.metrics.extractor import Extractor, build_extractor
from trials.metrics.frechet import Moments, Reference
from trials.networks.mixture import Mixture
from trials.part import PartConfig, knob
from trials.precision import multiplied
from trials.problems import Problem
from trials.state.streams import derive, stream
from trials.trick import Trick

REAL = 2048
"""Real images, at most, that the mixture is compared with."""

BLOCKS = 8
"""Blocks of samples of which one after the other is left out, for the error of a fall."""

ERRORS = 2
"""Standard errors that a fall must exceed: with eight samplings of one generator for candidates the
smallest distance falls by more in fewer than one choice of a hundred."""

REMEMBERING = ("ema", "historical_averaging", "progressive_growing", "stacked")
"""Tricks that would reach from one training into the next: what they do goes by the step of the
whole, or by weights that are no longer there. Other tricks forget, as they are prepared again."""


def mixed(features: Sequence[Tensor]) -> Tensor:
    """Features (n, d) of a mixture in equal shares, of those (n, d) of each of its k members.

    Row i is that of member i mod k: n in all, as d² of more samples would be smaller by itself.
    """
    rows = torch.arange(len(features[0]))
    return torch.stack(list(features))[rows % len(features), rows]


def mixture_distance(reference: Reference, features: Sequence[Tensor]) -> float:
    """d² from the data to n samples of the mixture of candidates with these features (n, d)."""
    return reference.distance(Moments.of(mixed(features)))


def fall_error(reference: Reference, before: Tensor, after: Tensor) -> float:
    """The standard error of d²(before) − d²(after), features (n, d) each.

    The jackknife over `BLOCKS` blocks of rows: √((K − 1)/K Σ (Δ_k − mean Δ)²), Δ_k without the
    k-th. The two share rows, and so a part of their chance, which drops out of the difference.
    """
    count = len(before)
    block = torch.arange(count) * BLOCKS // count
    falls = torch.tensor(
        [
            reference.distance(Moments.of(before[block != k]))
            - reference.distance(Moments.of(after[block != k]))
            for k in range(BLOCKS)
        ],
        dtype=torch.float64,
    )
    return float(((BLOCKS - 1) * falls.var(correction=0)).sqrt())


def greedy(reference: Reference, features: Sequence[Tensor], most: int) -> tuple[list[int], float]:
    """Which candidates to mix, in the order chosen, and the mixture's distance.

    `features`: (n, d) of each candidate, n equal, so that the shares are.
    """
    singles = [mixture_distance(reference, [found]) for found in features]
    best = min(singles)
    chosen = [singles.index(best)]
    while len(chosen) < min(most, len(features)):
        members = [features[k] for k in chosen]
        distances = {
            index: mixture_distance(reference, [*members, features[index]])
            for index in range(len(features))
            if index not in chosen
        }
        nearest = min(distances, key=lambda index: distances[index])
        joined = [*members, features[nearest]]
        fall = best - distances[nearest]
        if fall <= 0 or fall <= ERRORS * fall_error(reference, mixed(members), mixed(joined)):
            break
        best = distances[nearest]
        chosen.append(nearest)
    return chosen, best


class GeneratorEnsemble(Trick):
    """Several generators cover what one of them misses."""

    key = "generator_ensemble"
    group = "dynamics"
    summary = "samples from a mixture of generators, chosen greedily so that its distance falls"
    formula = "S ← S ∪ {argmin_i d²(S ∪ {i})} while d² falls"
    paper = "Wang et al. 2016, arXiv:1612.00991"
    not_capturable = "a candidate is measured, and chosen by the host"
    differences = (
        "The paper mixes all its members; here the mixture's Fréchet distance chooses them.",
    )
    order = 60
    samples_from = "ensemble"
    # In a few steps generators differ enough to be mixed only if they learn fast.
    example = {"optimizer": {"generator": {"lr": 0.02}}}

    class Config(PartConfig):
        candidates: int = knob(
            8, "generators collected over the training", ge=2, le=64, search={"values": [4, 8, 16]}
        )
        members: int = knob(
            3,
            "generators in the mixture, at most; 1: the best candidate alone",
            ge=1,
            le=16,
            search={"values": [1, 2, 3, 5]},
        )
        restart: bool = knob(False, "each candidate is trained from new weights")
        samples: int = knob(512, "images of each candidate behind the choice", ge=16, le=50_000)

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        for key in REMEMBERING:
            if config.restart and key in trial.tricks:
                message = f"'{key}' would carry over from one training to the next"
                yield Problem(f"tricks.{cls.key}.restart", message, expected="false")

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        rates = trial.optimizer
        if config.restart and (rates.generator.decay, rates.discriminator.decay) != ("none",) * 2:
            yield (
                "tricks.generator_ensemble.restart: learning rates decay over the whole training, "
                "so later candidates learn more slowly"
            )

    def prepare(self, game: Game) -> None:
        self.extractor: Extractor = build_extractor(
            self.trial.evaluation.extractor, game.dataset, game.device
        )
        noise = stream("cpu", self.trial.seed, "ensemble", "real")
        drawn = torch.randperm(len(game.dataset), generator=noise)[:REAL]
        real, batch = game.dataset.images, self.trial.evaluation.batch
        parts = [drawn[start : start + batch] for start in range(0, len(drawn), batch)]
        features_of_parts = [self.extractor(real[part.to(real.device)]).features for part in parts]
        features = torch.cat(features_of_parts)
        self.reference = Reference.of(Moments.of(features))
        self.generators: list[nn.Module] = []
        self.features: list[Tensor] = []
        self.chosen: list[int] = []
        self.distance = math.inf
        self.taken = 0
        self._blank = game.generator

    def after_generator_step(self, game: Game, round: Round) -> None:
        done = game.step + 1
        due = done * self.config.candidates // self.trial.steps
        if due <= self.taken:
            return
        self.taken = due
        network = copy.deepcopy(game.sampling_network(before=self.key)).eval().requires_grad_(False)
        features = self._sampled(game, network)
        # A generator that has diverged is no candidate; the watcher will say so.
        if bool(torch.isfinite(features).all()):
            self.generators.append(network)
            self.features.append(features)
            self.chosen, self.distance = greedy(self.reference, self.features, self.config.members)
        if self.config.restart and done < self.trial.steps:
            game.begin_anew(derive(self.trial.seed, "weights", self.taken), keep=self.key)

    def _sampled(self, game: Game, network: nn.Module) -> Tensor:
        """Features (samples, d) of what a candidate makes."""
        noise = stream(game.device, self.trial.seed, "ensemble", game.step)
        draw = game.drawer(network, noise)
        left, features = self.config.samples, []
        with multiplied(tf32=False):  # as the data were looked at, and a step need not be
            while left > 0:
                count = min(left, self.trial.evaluation.batch)
                features.append(self.extractor(draw(count, None)).features)
                left -= count
        return torch.cat(features)

    def sampling_network(self, game: Game, network: nn.Module) -> nn.Module:
        if not self.chosen:
            return network
        return Mixture(self.generators[index] for index in self.chosen).eval()

    def signals(self, game: Game) -> dict[str, float]:
        return {"members": float(len(self.chosen)), "distance": self.distance}

    def state(self) -> dict[str, Any]:
        return {
            "generators": [network.state_dict() for network in self.generators],
            "features": self.features,
            "chosen": self.chosen,
            "distance": self.distance,
            "taken": self.taken,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.generators = []
        for weights in state["generators"]:
            network = copy.deepcopy(self._blank).eval().requires_grad_(False)
            network.load_state_dict(weights)
            self.generators.append(network)
        device = self.reference.root.device
        self.features = [features.to(device) for features in state["features"]]
        self.chosen, self.distance = list(state["chosen"]), state["distance"]
        self.taken = state["taken"]
