"""Several discriminators at several scales (Wang et al. 2017, arXiv:1711.11585).

    L_D = Σ_s L_D(D_s),   L_G = Σ_s L_G(D_s)

D_s has the same structure and its own weights, and judges the image pooled s times by two: by
maximum, or as the paper by average. Penalties on scores and gradients are each judge's own, and add
up too; gradients are those at the image before it is pooled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trials.game import Game, Round, Terms, Trial
from trials.networks.build import build_discriminator
from trials.networks.plan import DiscriminatorPlan, Judgement, NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick

SMALLEST = 8
"""The least image that the families of networks judge."""


def pooled(images: Tensor, how: Literal["max", "average"]) -> Tensor:
    """Images (N, C, H, W) at half the size."""
    return F.max_pool2d(images, 2) if how == "max" else F.avg_pool2d(images, 2)


class MultiScale(nn.Module):
    """Discriminators of one image at full, half, quarter… size.

    `score` is (scales · N,), scale by scale, so that a mean over samples is one over scales too;
    what compares scores with each other does so judge by judge. `features` are joined, (N, Σ F).
    """

    def __init__(self, scales: list[nn.Module], how: Literal["max", "average"]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)
        self.how: Literal["max", "average"] = how

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        """Images (N, C, H, W), labels (N,) → the judgement of all scales."""
        judgements: list[Judgement] = []
        for index, judge in enumerate(self.scales):
            if index:
                images = pooled(images, self.how)
            judgements.append(judge(images, labels))
        scores = torch.cat([judgement.score for judgement in judgements])
        features = torch.cat([judgement.features for judgement in judgements], dim=1)
        return Judgement(scores, features, judgements[0].heads, judges=len(judgements))


class MultiScaleDiscriminator(Trick):
    """One judge for the whole, others for the coarse."""

    key = "multi_scale_discriminator"
    group = "judgement"
    summary = "several discriminators judge the image at several sizes; their losses add up"
    formula = "L = Σ_s L(D_s),  D_s judges the image pooled s times by two"
    paper = "Wang et al. 2017, arXiv:1711.11585"
    differences = ("Pools by maximum as practitioners advise; the paper by average (a knob).",)
    order = -50
    conflicts = {
        "ebgan": "its energy compares an image with one reconstruction",
        "began": "its energy compares an image with one reconstruction",
        "top_k": "one sample has several scores to be ranked by",
    }
    example = {"data": {"name": "digits", "size": 32}}

    class Config(PartConfig):
        scales: int = knob(2, "discriminators", ge=2, le=5, search={"values": [2, 3]})
        pool: Literal["max", "average"] = knob("max", "how the image is made smaller")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is None:
            return
        if len(shape) != 3:
            yield Problem("tricks.multi_scale_discriminator", "these data are points, not images")
            return
        most = (shape[-1] // SMALLEST).bit_length()
        if config.scales > most:
            yield Problem(
                "tricks.multi_scale_discriminator.scales",
                f"images of {shape[-1]}×{shape[-1]} cannot be judged at {config.scales} sizes",
                expected=f"at most {most}, as {SMALLEST}×{SMALLEST} is the least"
                if most > 1
                else f"images of {2 * SMALLEST}×{2 * SMALLEST} or more",
            )

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        inner = plan.discriminator.builder

        def build(whole: DiscriminatorPlan) -> nn.Module:
            channels, height, width = whole.shape
            scales = [
                build_discriminator(
                    replace(whole, builder=inner, shape=(channels, height >> index, width >> index))
                )
                for index in range(self.config.scales)
            ]
            return MultiScale(scales, self.config.pool)

        return replace(plan, discriminator=replace(plan.discriminator, builder=build))

    def _summed(self, terms: Terms) -> Terms:
        # The loss is a mean over samples and scales; the paper adds the scales up.
        return {**terms, "adversarial": self.config.scales * terms["adversarial"]}

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._summed(terms)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._summed(terms)
