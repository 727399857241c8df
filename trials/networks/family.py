"""What a family of networks is: two constructors, the knobs of each, and what it cannot honour."""

from __future__ import annotations

import functools
from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from trials.networks.plan import DiscriminatorPlan, GeneratorPlan
from trials.part import Part, PartConfig
from trials.problems import Problem

SMALLEST = 4
"""Height of the maps that z is projected to, and that a convolutional network works down to."""

WRITTEN_FOR_ALL = {"convolution": "plain"}
"""What records of version 0.1 say of every family, also of one that has no such knob."""


class PlayerKnobs(PartConfig):
    """The knobs of one player. Null means that a knob is not given."""

    part: ClassVar[type[Family]]

    @classmethod
    def counted(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        knobs = _knobs_of_any_family()
        return {
            name: value
            for name, value in given.items()
            if not (value is None and name in knobs)
            and (name in cls.model_fields or WRITTEN_FOR_ALL.get(name, ...) != value)
        }


class Family(Part, ABC):
    """A family of networks. Both constructors read every field of the plan that they can honour,
    and the family's own knobs from `plan.knobs`."""

    kind = "network family"
    folders = ("trials.networks.families",)
    configs = ("GeneratorKnobs", "DiscriminatorKnobs")

    images: ClassVar[bool] = True
    """Whether it makes and judges images."""

    points: ClassVar[bool] = False
    """Whether it makes and judges points."""

    maps: ClassVar[bool] = True
    """Given images, it works on feature maps, and the plan may insert modules between blocks."""

    GeneratorKnobs: ClassVar[type[PlayerKnobs] | None] = None
    """The knobs of its generator, with their defaults. None: it only judges."""

    DiscriminatorKnobs: ClassVar[type[PlayerKnobs] | None] = None
    """The knobs of its discriminator, with their defaults. None: it only makes."""

    @classmethod
    def generator(cls, plan: GeneratorPlan) -> nn.Module:
        """z (N, latent), labels (N,) or None, a condition image or None → samples (N, *shape)."""
        raise NotImplementedError(f"the family {cls.key} makes nothing")

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Samples (N, pack·C, …), labels (N,) or None → a `Judgement`."""
        raise NotImplementedError(f"the family {cls.key} judges nothing")

    @classmethod
    def check_generator(cls, plan: GeneratorPlan) -> list[Problem]:
        """What its generator cannot honour, beyond what is checked of all families."""
        return []

    @classmethod
    def check_discriminator(cls, plan: DiscriminatorPlan) -> list[Problem]:
        """What its discriminator cannot honour, beyond what is checked of all families."""
        return []


def _knobs_of_any_family() -> frozenset[str]:
    return _names_in(tuple(Family.all().values()))


@functools.cache
def _names_in(families: tuple[type[Family], ...]) -> frozenset[str]:
    knobs = (getattr(family, name) for family in families for name in Family.configs)
    return frozenset(name for config in knobs if config for name in config.model_fields)
