"""BigGAN (Brock et al., arXiv:1809.11096, appendix B).

The residual networks of `trials.networks.families.resnet`, with these differences: classes
enter the generator's normalisations through one embedding shared by all blocks, joined to each
block's own share of z (`skip_z: split`); the discriminator's blocks are as wide inside as their
output; weights start orthogonal; and at 256×256 the channels follow the paper's own ladder.
Self-attention, spectral and orthogonal regularisation are tricks that stand beside the family.
"""

from __future__ import annotations

from torch import nn

from trials.networks import knobs
from trials.networks.families.resnet import (
    Resnet,
    discriminator_multiples,
    generator_multiples,
    residual_discriminator,
    residual_generator,
)
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan

GENERATORS = {64: [8, 8, 4, 2, 1], 256: [16, 16, 8, 8, 4, 2, 1]}
DISCRIMINATORS = {256: ([1, 2, 4, 8, 8, 16], [16])}
"""Where the ladder of channels differs: table 8 of the paper for 256×256; 64×64 is the authors'
PyTorch code, in which the narrowest generator block has twice its unit of width."""


class Biggan(Resnet):
    """Large residual networks."""

    key = "biggan"
    summary = "BigGAN: residual, z and the class in every block"

    class GeneratorKnobs(Resnet.GeneratorKnobs):
        """The knobs of BigGAN's generator."""

        init: knobs.Init = "orthogonal"
        skip_z: knobs.SkipZ = "split"
        embedding: knobs.Embedding = 128

    class DiscriminatorKnobs(Resnet.DiscriminatorKnobs):
        """The knobs of BigGAN's discriminator."""

        init: knobs.Init = "orthogonal"

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent), labels (N,) → images (N, C, H, W)."""
        size = plan.shape[1]
        multiples = GENERATORS.get(size) or generator_multiples(size)
        return residual_generator(plan, multiples)

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Images (N, pack·C, H, W) → a judgement of the sum over places."""
        size = plan.shape[1]
        halving, keeping = DISCRIMINATORS.get(size) or discriminator_multiples(size)
        return residual_discriminator(plan, halving, keeping, wide=True)
