"""Fully connected networks, for points (and small images).

The setting of PacGAN (arXiv:1712.04086, section 4.1) is ``generator: {depth: 4, width: 400,
norm: batch, activation: relu, init: normal}`` and ``discriminator: {depth: 3, width: 200,
activation: maxout, pieces: 5, init: normal}``.
"""

from __future__ import annotations

import math

from torch import nn

from trials.networks.discriminator import Discriminator, input_channels, labelled_input
from trials.networks.families.family import Family
from trials.networks.families.image import split_problems
from trials.networks.generator import Generator, conditioner_of
from trials.networks.layers.coded import sequence
from trials.networks.layers.factory import LayerFactory
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan
from trials.problems import Problem


def generator(plan: GeneratorPlan) -> nn.Module:
    """``depth`` hidden layers; the output is linear for points, tanh for images."""
    conditioner = conditioner_of(plan, plan.depth)
    code = conditioner.code if conditioner is not None else 0
    make = LayerFactory(plan, code=code, spatial=False)
    inputs = conditioner.entry if conditioner is not None else plan.latent
    return Generator(plan, stages_from(plan, make, inputs), conditioner)


def stages_from(plan: GeneratorPlan, make: LayerFactory, inputs: int) -> list[nn.Module]:
    """Everything from (N, inputs) numbers to samples: the hidden layers, then the output."""
    stages = []
    for _ in range(plan.depth):
        stages.append(sequence(_hidden_layer(make, inputs)))
        inputs = plan.width
    bias = make.biased(normalised=False)
    head: list[nn.Module] = [make.linear(inputs, math.prod(plan.shape), bias=bias, last=True)]
    if len(plan.shape) == 3:
        head += [nn.Unflatten(1, plan.shape), nn.Tanh()]
    return [*stages, sequence(head)]


def discriminator(plan: DiscriminatorPlan) -> nn.Module:
    """``depth`` hidden layers; the last one's output are the features."""
    make = LayerFactory(plan, spatial=False)
    entry = labelled_input(plan)
    inputs = input_channels(plan, entry) * math.prod(plan.shape[1:])
    trunk: list[nn.Module] = [nn.Flatten()] if len(plan.shape) == 3 else []
    return Discriminator(plan, make, entry, [*trunk, *hidden_layers(make, inputs)], plan.width)


def hidden_layers(make: LayerFactory, inputs: int) -> list[nn.Module]:
    """A discriminator's hidden layers; the first is not normalised unless it is the only one."""
    layers: list[nn.Module] = []
    depth = make.plan.depth
    for index in range(depth):
        layers += _hidden_layer(make, inputs, normalised=index > 0 or depth == 1)
        inputs = make.plan.width
    return layers


def _hidden_layer(make: LayerFactory, inputs: int, *, normalised: bool = True) -> list[nn.Module]:
    """Linear, normalisation, activation: (N, inputs) → (N, width)."""
    units = make.plan.width * make.pieces
    linear = make.linear(inputs, units, bias=make.biased(normalised=normalised))
    return make.unit([linear], units, normalised=normalised)


def _check_generator(plan: GeneratorPlan) -> list[Problem]:
    return split_problems(plan, plan.depth)


_SHARED = {"init": "xavier", "pieces": 5, "embedding": 0}

FAMILY = Family(
    name="mlp",
    images=True,
    points=True,
    maps=False,
    generator=generator,
    generator_defaults={
        **_SHARED,
        "width": 128,
        "depth": 3,
        "norm": "batch",
        "activation": "relu",
        "skip_z": "none",
    },
    discriminator=discriminator,
    discriminator_defaults={
        **_SHARED,
        "width": 128,
        "depth": 3,
        "norm": "none",
        "activation": "leaky",
    },
    check_generator=_check_generator,
)
