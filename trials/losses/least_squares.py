"""Least squares GAN (Mao et al. 2017, arXiv:1611.04076).

    discriminator  E (r − b)² + E (f − a)²
    generator      E (f − c)²

with a the label of generated, b of real images and c what the generator wants D to believe;
b = c = 1 and a = 0 by default. The paper's equation 2 has a factor ½ on every term, which most
implementations leave out, as is done here.
"""

from __future__ import annotations

from torch import Tensor

from trials.game import Round
from trials.losses.base import Target, UncentredLoss
from trials.part import PartConfig, knob


def squared(score: Tensor, target: Target) -> Tensor:
    """E (s − t)² of raw scores (N,); a scalar."""
    return (score - target).square().mean()


class LeastSquares(UncentredLoss):
    """Targets of label tricks, in [0, 1], are mapped onto the labels a…b."""

    key = "lsgan"
    summary = "squares instead of cross-entropy: gradients far from the border do not vanish"
    formula = "D: E (r - b)^2 + E (f - a)^2    G: E (f - c)^2"
    paper = "Mao et al. 2017, arXiv:1611.04076"
    differences = ("The paper's factor ½ is left out.",)
    takes_targets = True

    class Config(PartConfig):
        a: float = knob(0.0, "label of generated images")
        b: float = knob(1.0, "label of real images")
        c: float = knob(1.0, "what the generator wants the discriminator to say")

    def _label(self, target: Target) -> Target:
        a, b = self.config.a, self.config.b
        label: Target = a + (b - a) * target
        return label

    def discriminator(self, round: Round) -> Tensor:
        real, fake = self._label(round.real_target), self._label(round.fake_target)
        return squared(round.r, real) + squared(round.f, fake)

    def generator(self, round: Round) -> Tensor:
        return squared(round.f, self.config.c)
