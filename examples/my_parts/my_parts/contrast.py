"""Contrast: the discriminator sees every image with its contrast multiplied by a factor.

    D sees c · x

An example; not from a paper.
"""

from __future__ import annotations

from torch import Tensor

from trials.game import Game
from trials.part import PartConfig, knob
from trials.trick import Trick


def contrasted(images: Tensor, factor: float) -> Tensor:
    """c · x of images (N, C, H, W)."""
    return factor * images


class Contrast(Trick):
    """Shows the discriminator flatter or harder images."""

    key = "contrast"
    group = "judgement"
    summary = "multiplies the contrast of what the discriminator sees"
    formula = "D sees c x"
    paper = "none"

    class Config(PartConfig):
        """The knobs of contrast."""

        factor: float = knob(0.5, "c", gt=0, search={"min": 0.25, "max": 1.0})

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        return contrasted(images, self.config.factor)
