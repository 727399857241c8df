"""What a family of networks declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from trials.networks.plan import DiscriminatorPlan, GeneratorPlan
from trials.problems import Problem

SMALLEST = 4
"""Height of the maps that z is projected to, and that a convolutional network works down to."""


@dataclass(frozen=True)
class Family:
    """Two constructors, the defaults of their knobs, and what each cannot honour.

    ``generator`` is None for a family of discriminators only. A knob that has no default here
    means nothing to the family: giving one is a problem. The two checks return problems that
    are the family's own; what all families share is checked in :mod:`trials.networks.build.check`.
    """

    name: str
    images: bool
    points: bool
    discriminator: Callable[[DiscriminatorPlan], nn.Module]
    discriminator_defaults: Mapping[str, Any]
    generator: Callable[[GeneratorPlan], nn.Module] | None = None
    generator_defaults: Mapping[str, Any] = field(default_factory=dict)
    maps: bool = True
    """Given images, it works on feature maps, and the plan may insert modules between blocks."""

    check_generator: Callable[[GeneratorPlan], list[Problem]] = lambda plan: []
    check_discriminator: Callable[[DiscriminatorPlan], list[Problem]] = lambda plan: []
