"""BigGAN (Brock et al., arXiv:1809.11096, appendix B).

The residual networks of :mod:`trials.networks.families.resnet`, with these differences: classes
enter the generator's normalisations through one embedding shared by all blocks, joined to each
block's own share of z (``skip_z: split``); the discriminator's blocks are as wide inside as their
output; weights start orthogonal; and at 256×256 the channels follow the paper's own ladder.
Self-attention, spectral and orthogonal regularisation are tricks that stand beside the family.
"""

from __future__ import annotations

from torch import nn

from trials.networks.families import resnet
from trials.networks.families.family import Family
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan

GENERATORS = {64: [8, 8, 4, 2, 1], 256: [16, 16, 8, 8, 4, 2, 1]}
DISCRIMINATORS = {256: ([1, 2, 4, 8, 8, 16], [16])}
"""Where the ladder of channels differs: table 8 of the paper for 256×256; 64×64 is the authors'
PyTorch code, in which the narrowest generator block has twice its unit of width."""


def generator(plan: GeneratorPlan) -> nn.Module:
    """See the module's text."""
    size = plan.shape[1]
    multiples = GENERATORS.get(size) or resnet.generator_multiples(size)
    return resnet.residual_generator(plan, multiples)


def discriminator(plan: DiscriminatorPlan) -> nn.Module:
    """See the module's text."""
    size = plan.shape[1]
    halving, keeping = DISCRIMINATORS.get(size) or resnet.discriminator_multiples(size)
    return resnet.residual_discriminator(plan, halving, keeping, wide=True)


FAMILY = Family(
    name="biggan",
    images=True,
    points=False,
    generator=generator,
    generator_defaults={
        **resnet.GENERATOR_DEFAULTS,
        "init": "orthogonal",
        "skip_z": "split",
        "embedding": 128,
    },
    discriminator=discriminator,
    discriminator_defaults={**resnet.DISCRIMINATOR_DEFAULTS, "init": "orthogonal"},
    check_generator=resnet.check_generator,
)
