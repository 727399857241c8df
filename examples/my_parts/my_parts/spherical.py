"""Spherical: fully connected networks whose generator reads the direction of z alone.

    x = G(√d z/‖z‖)

An example; not from a paper.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from trials.networks.families.mlp import Mlp, stages_from
from trials.networks.generator import Generator, conditioner_of
from trials.networks.layers.coded import sequence
from trials.networks.layers.factory import LayerFactory
from trials.networks.plan import GeneratorPlan


class Sphere(nn.Module):
    """(N, d) → (N, d), each row of length √d."""

    def forward(self, z: Tensor) -> Tensor:
        return math.sqrt(z.shape[1]) * functional.normalize(z, dim=1)


class Spherical(Mlp):
    """The discriminator is that of `mlp`."""

    key = "spherical"
    summary = "fully connected layers, for a code on the sphere"

    class GeneratorKnobs(Mlp.GeneratorKnobs):
        """The knobs of the generator."""

    class DiscriminatorKnobs(Mlp.DiscriminatorKnobs):
        """The knobs of the discriminator."""

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        conditioner = conditioner_of(plan, plan.depth)
        code = conditioner.code if conditioner is not None else 0
        inputs = conditioner.entry if conditioner is not None else plan.latent
        first, *rest = stages_from(plan, LayerFactory(plan, code=code, spatial=False), inputs)
        return Generator(plan, [sequence([Sphere(), first]), *rest], conditioner)
