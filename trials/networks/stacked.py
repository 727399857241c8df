"""Two stages of networks: a second pair refines what the first makes, at twice the size.

StackGAN (Zhang et al. 2016, arXiv:1612.03242). G₁ makes an image of half the size from z; G₂ is
given that image, and makes one of the full size. Each has its discriminator::

    first     G(z) = G₁(z), enlarged                      judged by D₁ at half the size
    second    G(z) = G₂(G₁(z)), G₁ fixed                  judged by D₂ at full size
    together  G(z) = G₂(G₁(z))  beside  G₁(z), enlarged   judged by both

While both train together, what lies on the table has twice the channels, the second image's and
then the first's; what is sampled never has. Each family's own networks are used for the stages.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trials.networks.build import build_discriminator, build_generator
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, Judgement

Stage = Literal["first", "second", "together"]


def halved(images: Tensor) -> Tensor:
    """Images (N, C, H, W) at half the size, each pixel the mean of four."""
    return F.avg_pool2d(images, 2)


def doubled(images: Tensor) -> Tensor:
    """Images (N, C, H, W) at twice the size, each pixel repeated."""
    return F.interpolate(images, scale_factor=2, mode="nearest")


def beside(refined: Tensor, small: Tensor) -> Tensor:
    """(N, C, H, W) and (N, C, H/2, W/2) as one tensor (N, 2C, H, W).

    The small image is doubled and halved in value, so that `apart` gives it back and is
    orthogonal: gradients and noise keep their norms.
    """
    return torch.cat([refined, doubled(small) / 2], dim=1)


def apart(joint: Tensor, pack: int) -> tuple[Tensor, Tensor]:
    """The two that `beside` joined, of `pack` samples on channels: (N, 2·pack·C, H, W)."""
    refined, small = joint.view(len(joint), pack, 2, -1, *joint.shape[2:]).unbind(2)
    return refined.flatten(1, 2), 2 * halved(small.flatten(1, 2))


def generator_stages(plan: GeneratorPlan) -> tuple[GeneratorPlan, GeneratorPlan]:
    """The plans of G₁ and G₂ for a whole of this plan."""
    channels, height, width = plan.shape
    first = replace(plan, builder=None, shape=(channels, height // 2, width // 2))
    return first, replace(plan, builder=None, condition_channels=channels, enlarge=2)


def discriminator_stages(plan: DiscriminatorPlan) -> tuple[DiscriminatorPlan, DiscriminatorPlan]:
    """The plans of D₁ and D₂ for a whole of this plan."""
    channels, height, width = plan.shape
    first = replace(plan, builder=None, shape=(channels, height // 2, width // 2))
    return first, replace(plan, builder=None)


class StackedGenerator(nn.Module):
    """z (N, latent), labels (N,) where the plan conditions on them → (N, C, H, W).

    While it trains with `together` the result has 2C channels, see `beside`. With `noise`
    G₂ reads z too; the paper's does not.
    """

    refining: Tensor

    def __init__(self, plan: GeneratorPlan, *, noise: bool) -> None:
        super().__init__()
        first, second = generator_stages(plan)
        self.first, self.second = build_generator(first), build_generator(second)
        self.noise = noise
        self.stage: Stage = "first"
        # An integer, so that averaged weights take it over instead of averaging it.
        self.register_buffer("refining", torch.zeros((), dtype=torch.int64))

    def begin(self, stage: Stage) -> None:
        """Train this stage from now on."""
        self.stage = stage
        self.refining.fill_(stage != "first")
        # Penalties on weights and what the optimiser adds must not move a fixed first stage either.
        self.first.requires_grad_(stage != "second")
        self.train(self.training)

    def train(self, mode: bool = True) -> StackedGenerator:
        """As usual, but a first stage that is fixed keeps its statistics fixed too."""
        super().train(mode)
        if self.stage == "second":
            self.first.eval()
        return self

    def forward(
        self, z: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        if not self.training:
            # The buffer decides, so that averaged, loaded and traced networks are exact.
            small = self.first(z, labels)
            return torch.where(self.refining > 0, self._refined(z, labels, small), doubled(small))
        if self.stage == "first":
            return doubled(self.first(z, labels))
        if self.stage == "second":
            with torch.no_grad():
                small = self.first(z, labels)
            return self._refined(z, labels, small)
        small = self.first(z, labels)
        return beside(self._refined(z, labels, small), small)

    def _refined(self, z: Tensor, labels: Tensor | None, small: Tensor) -> Tensor:
        refined: Tensor = self.second(z if self.noise else torch.zeros_like(z), labels, small)
        return refined


class StackedDiscriminator(nn.Module):
    """Images of half the size go to D₁, of the full size to D₂, both beside each other to both.

    Both judge: `score` is (2N,), D₂'s first; `features` are joined; further heads are D₂'s.
    """

    def __init__(self, plan: DiscriminatorPlan) -> None:
        super().__init__()
        first, second = discriminator_stages(plan)
        self.first, self.second = build_discriminator(first), build_discriminator(second)
        self.channels, self.size, self.pack = plan.shape[0], plan.shape[1], plan.pack

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        """Images as the stage shows them, packed or not, and labels."""
        if images.shape[-1] < self.size:
            small: Judgement = self.first(images, labels)
            return small
        if images.shape[1] == self.channels * self.pack:
            large: Judgement = self.second(images, labels)
            return large
        refined, halves = apart(images, self.pack)
        large, small = self.second(refined, labels), self.first(halves, labels)
        return Judgement(
            torch.cat([large.score, small.score]),
            torch.cat([large.features, small.features], dim=1),
            large.heads,
            judges=2,
        )
