"""Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738).

    D sees T(x) and T(G(z)), the same family of random, differentiable T for both players

color        brightness ±0.5, then saturation in [0, 2], then contrast in [0.5, 1.5]
translation  by up to 1/8 of the side, zeros filled in
cutout       a square of half the side set to zero
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Trial
from trials.part import PartConfig, knob
from trials.problems import Problem, nearest
from trials.toolkit.shifts import shifted
from trials.trick import Trick

Uniform = Callable[[int], Tensor]
"""(count) → uniform numbers in [0, 1), shape (count, 1, 1, 1)."""


def color(x: Tensor, draw: Uniform) -> Tensor:
    """Brightness, saturation and contrast of images (N, C, H, W), each its own."""
    x = x + draw(len(x)) - 0.5
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (draw(len(x)) * 2) + grey
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - level) * (draw(len(x)) + 0.5) + level


def translation(x: Tensor, draw: Uniform, ratio: float = 1 / 8) -> Tensor:
    """Images moved by up to `ratio` of their side, each its own way."""
    reach = max(1, round(x.shape[-1] * ratio))
    down, right = (
        (draw(len(x)).flatten() * (2 * reach + 1)).floor().long() - reach for _ in range(2)
    )
    return shifted(x, down, right)


def cutout(x: Tensor, draw: Uniform, ratio: float = 1 / 2) -> Tensor:
    """Images with a square of `ratio` of the side set to zero, each at its own place."""
    side = x.shape[-1]
    hole = max(1, round(side * ratio))
    places = [
        (draw(len(x)).flatten() * (side + 1 - hole % 2)).floor().long()[:, None] for _ in range(2)
    ]
    line = torch.arange(side, device=x.device)[None]
    near = [(line >= p - hole // 2) & (line < p - hole // 2 + hole) for p in places]
    return x * ~(near[0][:, :, None] & near[1][:, None])[:, None]


KINDS: dict[str, Callable[[Tensor, Uniform], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}


class DiffAugment(Trick):
    """The discriminator never sees an image twice the same way."""

    key = "diff_augment"
    group = "judgement"
    slot = "augmentation"
    summary = "the same random augmentations of real and generated images, differentiable"
    formula = "D(T(x)), D(T(G(z)))"
    paper = "Zhao et al. 2020, arXiv:2006.10738"
    order = 40

    class Config(PartConfig):
        policy: tuple[str, ...] = knob(
            ("color", "translation", "cutout"),
            "which augmentations, in order",
            search={"values": [["translation"], ["translation", "cutout"], ["color"]]},
        )

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        for kind in config.policy:
            if kind not in KINDS:
                yield Problem(
                    "tricks.diff_augment.policy",
                    f"there is no augmentation '{kind}'",
                    expected="some of " + ", ".join(KINDS),
                    nearest=nearest(kind, KINDS),
                )
        shape = trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem("tricks.diff_augment", "augments images, and these data are points")

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        stream = game.streams.augmentation

        def draw(count: int) -> Tensor:
            return torch.rand((count, 1, 1, 1), generator=stream, device=images.device)

        for kind in self.config.policy:
            images = KINDS[kind](images, draw)
        return images
