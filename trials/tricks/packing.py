"""Packing (PacGAN, Lin et al. 2018, arXiv:1712.04086).

    D(x₁, …, x_m): m samples joined on channels, one judgement

A generator that lacks modes makes packs with too little variety, and the judge of packs sees it.
Where both players are given class labels, the m samples of a pack are of one class, so that a
judge with labels judges whether that class has all its variety: the first sample of each pack of
real images is the data's next, and the others are drawn at random from its class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Trial
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def packed(images: Tensor, m: int) -> Tensor:
    """(N, C, …) → (N/m, m·C, …): every m samples in a row are joined on channels."""
    return images.reshape(len(images) // m, m * images.shape[1], *images.shape[2:])


class Members:
    """Where the items of each class stand among labels (N,)."""

    def __init__(self, labels: Tensor) -> None:
        self.counts = torch.bincount(labels)
        self.places = labels.argsort(stable=True)
        self.first = self.counts.cumsum(0) - self.counts

    def draw(self, classes: Tensor, stream: torch.Generator) -> Tensor:
        """The place of a random item of each of `classes` (K,), which all have items."""
        share = torch.rand(len(classes), generator=stream, device=stream.device)
        classes = classes.to(self.places.device)
        counts = self.counts[classes]
        # A share just below 1, times a count, is rounded up to it.
        nth = (share.to(counts.device) * counts).long().minimum(counts - 1)
        return self.places[self.first[classes] + nth]


class Packing(Trick):
    """Judges several samples at once."""

    key = "packing"
    group = "judgement"
    summary = "the discriminator judges m samples together, with labels of one class"
    formula = "D(x_1, ..., x_m)"
    paper = "Lin et al. 2018, arXiv:1712.04086"
    differences = (
        "The paper packs at random and has no labels; with labels a pack is of one class.",
    )
    order = 90
    conflicts = {"infogan": "a pack has several codes"}

    class Config(PartConfig):
        samples: int = knob(2, "m", ge=2, le=16, search={"values": [2, 3, 4]})

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        if (trial.batch_size // trial.accumulate) % config.samples:
            yield Problem(
                "tricks.packing.samples",
                f"{config.samples} does not divide the batch of {trial.batch_size}"
                + (f" in {trial.accumulate} parts" if trial.accumulate > 1 else ""),
            )
        method = trial.conditioning.part
        if "experience_replay" in trial.tricks and issubclass(method, Trick) and method.uses_labels:
            yield Problem(
                "tricks.packing",
                f"with '{method.key}' a pack is of one class, and experience_replay would put old"
                " images of others into it",
                expected="one of the two, or conditioning: none",
            )

    def __init__(self, config: Any, trial: Trial) -> None:
        super().__init__(config, trial)
        self.members: Members | None = None

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        judge = plan.discriminator
        return replace(plan, discriminator=replace(judge, pack=self.config.samples))

    def drawn(
        self, game: Game, real: Tensor, labels: Tensor | None, stream: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        if labels is None or game.dataset.labels is None:
            return real, labels
        if self.members is None:
            self.members = Members(game.dataset.labels)
        labels, m = self.classes(game, labels), self.config.samples
        others = self.members.draw(labels.view(-1, m)[:, 1:].flatten(), stream)
        drawn, _ = game.dataset.batch(others, device=game.device, augment=stream)
        packs = [real[::m, None], drawn.view(-1, m - 1, *real.shape[1:])]
        return torch.cat(packs, 1).flatten(0, 1), labels

    def classes(self, game: Game, labels: Tensor) -> Tensor:
        m = self.config.samples
        return labels[::m].repeat_interleave(m)

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        return packed(images, self.config.samples)
