"""Filling holes (Yu et al. 2018, arXiv:1806.03589).

    x̃ = x ⊙ (1 − M),    x̂ = x̃ + G(z, x̃, M) ⊙ M,    D judges x against x̂

M is 1 in the hole. The generator is given the image with its hole and the mask, and only the hole
of its output counts: known pixels are put back exactly. As the source advises, its convolutions
are gated unless `gated` is off. The paper's losses beside the adversarial one are tricks of
their own (`l1`, `perceptual`). The hole is a square in the middle, a square anywhere, or
brush strokes: random walks, the free-form masks of the paper's section 3.2.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from trials.fields import Role
from trials.game import Game
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.tasks.paired import PairedTask

Hole = Literal["centre", "anywhere", "strokes"]


def cut(images: Tensor, mask: Tensor) -> Tensor:
    """x ⊙ (1 − M), and M as one more channel: (N, C, H, W), (N, 1, H, W) → (N, C + 1, H, W)."""
    return torch.cat([images * (1 - mask), mask], dim=1)


def completed(images: Tensor, condition: Tensor) -> Tensor:
    """x̂: the known pixels of the condition (N, C + 1, H, W), the images in the hole."""
    visible, mask = condition[:, :-1], condition[:, -1:]
    return visible + images * mask


def square(count: int, side: int, hole: int, stream: torch.Generator, anywhere: bool) -> Tensor:
    """Masks (count, 1, side, side) with a square hole, in the middle or each at its own place."""
    device = stream.device
    if anywhere:
        places = torch.randint(side - hole + 1, (2, count), generator=stream, device=device)
    else:
        places = torch.full((2, count), (side - hole) // 2, device=device)
    line = torch.arange(side, device=device)
    first, last = places[:, :, None], places[:, :, None] + hole
    down, right = (line >= first) & (line < last)
    inside: Tensor = down[:, :, None] & right[:, None, :]
    return inside[:, None].float()


def strokes(count: int, side: int, share: float, stream: torch.Generator) -> Tensor:
    """Masks (count, 1, side, side): a brush walks at random, twice `share` of the side far.

    It is an eighth of the side wide and makes steps of its own width. It leaves at one edge and
    comes back at the other, so that no hole is shorter than another.
    """
    device = stream.device
    width = max(1, side // 8)
    walk = max(2, round(2 * share * side / width))

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=stream, device=device)

    # The heading drifts by up to a quarter turn a step, so that strokes are curves, not noise.
    heading = uniform(count, 1) * 2 * math.pi + (uniform(count, walk) - 0.5).cumsum(1) * math.pi
    start = uniform(count, 2, 1) * side
    moves = torch.stack([heading.sin(), heading.cos()], dim=1) * width
    path = (start + moves.cumsum(2)) % side
    line = torch.arange(side, device=device) + 0.5
    near = ((path[..., None] - line).abs() <= width / 2 + 0.25).float()
    touched = torch.einsum("nti,ntj->nij", near[:, 0], near[:, 1])
    return (touched > 0)[:, None].float()


class Inpaint(PairedTask):
    """The generator completes an image."""

    key = "inpaint"
    summary = "a hole is cut out of each image, and the generator fills it"
    formula = "x̂ = x ⊙ (1-M) + G(z, x ⊙ (1-M), M) ⊙ M"
    paper = "Yu et al. 2018, arXiv:1806.03589"

    class Config(PartConfig):
        hole: Hole = knob("centre", "a square in the middle, a square anywhere, or brush strokes")
        size: float = knob(
            0.5, "side of the square, or length of a stroke, as a share of the image's side",
            gt=0, lt=1,
        )  # fmt: skip
        gated: Annotated[bool, Role.TRAINS_ONLY] = knob(True, "gated convolutions in the generator")

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        maker = replace(plan.generator, condition_channels=plan.generator.shape[0] + 1)
        if self.config.gated:
            maker = replace(maker, convolution="gated")
        return replace(plan, generator=maker)

    def masks(self, count: int, side: int, stream: torch.Generator) -> Tensor:
        """Holes for `count` images: (count, 1, side, side), 1 in the hole."""
        if self.config.hole == "strokes":
            return strokes(count, side, self.config.size, stream)
        hole = max(1, round(self.config.size * side))
        return square(count, side, hole, stream, self.config.hole == "anywhere")

    def condition(self, game: Game, real: Tensor, stream: torch.Generator) -> Tensor:
        return cut(real, self.masks(len(real), real.shape[-1], stream))

    def finish(self, images: Tensor, condition: Tensor | None) -> Tensor:
        return images if condition is None else completed(images, condition)
