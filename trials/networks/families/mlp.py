"""Fully connected networks, for points (and small images).

The setting of PacGAN (arXiv:1712.04086, section 4.1) is `generator: {depth: 4, width: 400,
norm: batch, activation: relu, init: normal}` and `discriminator: {depth: 3, width: 200,
activation: maxout, pieces: 5, init: normal}`.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import nn

from trials.networks import knobs
from trials.networks.discriminator import Discriminator, input_channels, labelled_input
from trials.networks.family import Family, PlayerKnobs
from trials.networks.generator import Generator, conditioner_of
from trials.networks.image_ends import split_problems
from trials.networks.layers.coded import sequence
from trials.networks.layers.factory import LayerFactory
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan
from trials.problems import Problem


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


Activation = Annotated[
    Literal["relu", "leaky", "elu", "silu", "maxout"],
    Field(description="`leaky` has slope 0.2; `maxout` is the largest of several linear pieces"),
]


class LayersKnobs(PlayerKnobs):
    """What both players have."""

    width: knobs.Units = 128
    depth: knobs.Layers = 3
    activation: Activation = "relu"
    init: Annotated[
        Literal["normal", "xavier", "he", "orthogonal"],
        Field(description="how weights start; biases start at 0"),
    ] = "xavier"
    bias: knobs.Bias = "auto"
    pieces: Annotated[
        int, Field(ge=2, le=32, description="linear pieces of one unit (`activation: maxout` only)")
    ] = 5
    embedding: knobs.Embedding = 0

    @field_validator("pieces")
    @classmethod
    def _of_maxout(cls, pieces: int, info: ValidationInfo) -> int:
        # A record holds the default whatever the activation.
        if info.data.get("activation") != "maxout" and pieces != cls.model_fields["pieces"].default:
            raise ValueError("is a knob of maxout (activation: maxout)")
        return pieces


class Mlp(Family):
    """Fully connected layers."""

    key = "mlp"
    summary = "fully connected layers, for points and small images"
    points = True
    maps = False

    class GeneratorKnobs(LayersKnobs):
        """The knobs of a fully connected generator."""

        norm: Annotated[
            Literal["none", "batch", "layer", "pixel", "switchable", "virtual_batch"],
            Field(description="normalisation of each hidden layer"),
        ] = "batch"
        skip_z: knobs.SkipZ = "none"

    class DiscriminatorKnobs(LayersKnobs):
        """The knobs of a fully connected discriminator."""

        norm: Annotated[
            Literal["none", "batch", "layer", "virtual_batch"],
            Field(description="normalisation of each hidden layer but the first"),
        ] = "none"
        activation: Activation = "leaky"

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent) → points (N, D), linear in the last layer; or images, through tanh."""
        conditioner = conditioner_of(plan, plan.depth)
        code = conditioner.code if conditioner is not None else 0
        make = LayerFactory(plan, code=code, spatial=False)
        inputs = conditioner.entry if conditioner is not None else plan.latent
        return Generator(plan, stages_from(plan, make, inputs), conditioner)

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Points (N, pack·D) or images → a judgement of the last hidden layer."""
        make = LayerFactory(plan, spatial=False)
        entry = labelled_input(plan)
        inputs = input_channels(plan, entry) * math.prod(plan.shape[1:])
        trunk: list[nn.Module] = [nn.Flatten()] if len(plan.shape) == 3 else []
        return Discriminator(plan, make, entry, [*trunk, *hidden_layers(make, inputs)], plan.width)

    @classmethod
    def check_generator(cls, plan: GeneratorPlan) -> list[Problem]:
        return split_problems(plan, plan.depth)
