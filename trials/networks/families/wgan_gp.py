"""The residual networks of WGAN-GP's authors (Gulrajani et al., arXiv:1704.00028).

Up to 32×32 (their `gan_cifar_resnet.py`) these are the blocks of `trials.networks.families.resnet`
at one width, and the critic takes the mean over places, not the sum. From 64×64 on (the residual
networks of `gan_64x64.py`) the generator's channels fall from 8·width at 4×4 and 8×8 to the width;
the critic begins with a convolution, doubles them from one halving to the next up to 8·width, and
reads every place of its 4×4 maps.
"""

from __future__ import annotations

from torch import Tensor, nn

from trials.networks.families.resnet import (
    CONSTANT_UP_TO,
    Resnet,
    discriminator_multiples,
    generator_multiples,
    residual_discriminator,
    residual_generator,
)
from trials.networks.family import SMALLEST
from trials.networks.layers.factory import halvings
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan

WIDEST = 8
"""The most channels anywhere from 64×64 on, in multiples of the width."""


class MeanPool(nn.Module):
    """(N, C, H, W) → (N, C), the mean over places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class WganGp(Resnet):
    """Residual networks with a critic's mean in place of a sum."""

    key = "wgan_gp"
    summary = "the residual networks of WGAN-GP: the critic takes a mean over places"

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent) → images (N, C, H, W)."""
        size = plan.shape[1]
        if size <= CONSTANT_UP_TO:
            return residual_generator(plan, generator_multiples(size))
        sizes = halvings(size, SMALLEST) + 1
        return residual_generator(plan, [min(WIDEST, 1 << k) for k in reversed(range(sizes))])

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Images (N, pack·C, H, W) → a judgement of the mean over places, or of them all."""
        size = plan.shape[1]
        if size <= CONSTANT_UP_TO:
            return residual_discriminator(plan, *discriminator_multiples(size), pool=MeanPool)
        halving = [min(WIDEST, 2 << k) for k in range(halvings(size, SMALLEST))]
        return residual_discriminator(plan, halving, [], stem=True)
