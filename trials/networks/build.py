"""From a configuration to a plan, and from a plan to the two networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from trials.errors import ConfigError
from trials.networks.check import check
from trials.networks.config import NetworksConfig
from trials.networks.family import Family
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, NetworkPlan, PlayerPlan
from trials.part import PartConfig

__all__ = [
    "block_sizes",
    "build",
    "build_discriminator",
    "build_generator",
    "check",
    "plan_networks",
]


def plan_networks(
    config: NetworksConfig, shape: tuple[int, ...], latent: int, classes: int
) -> NetworkPlan:
    """The plan for data of `shape` ((C, H, W) or (D,)), before any trick has changed it.

    `classes` is 0 for unlabelled data. Whether the plan can be built is asked of `check`.
    """
    makes, judges = config.generator, config.discriminator
    shared: dict[str, Any] = {"shape": shape, "classes": classes}
    made, judged = _fields(GeneratorPlan, makes), _fields(DiscriminatorPlan, judges)
    return NetworkPlan(
        GeneratorPlan(makes.name, knobs=makes, latent=latent, **shared, **made),
        DiscriminatorPlan(judges.name, knobs=judges, **shared, **judged),
    )


def _fields(plan: type[PlayerPlan], knobs: PartConfig) -> dict[str, Any]:
    """The knobs that are fields of a player's plan."""
    return {name: value for name, value in knobs if name in plan.__dataclass_fields__}


def block_sizes(plan: GeneratorPlan | DiscriminatorPlan) -> tuple[int, ...]:
    """Sizes (heights) at which the family asks `after_block`, in the order of the network.

    A module meant for any other size would stand nowhere.
    """
    # Sizes depend neither on the width nor on how weights start, which costs time on the meta
    # device.
    small: dict[str, Any] = {"width": 1, "classes": min(plan.classes, 2), "init": "normal"}
    bare = replace(plan, builder=None, wrap_layer=(), after_block=(), **small)
    if isinstance(bare, DiscriminatorPlan):
        bare = replace(bare, append_maps=(), after_features=(), heads={})
    known = Family.named(bare.family), repr(bare)
    if known not in _SIZES:
        _SIZES[known] = _asked_at(bare)
    return _SIZES[known]


_SIZES: dict[tuple[type[Family], str], tuple[int, ...]] = {}
"""Family, and a plan without what tricks put into it → the sizes that it has blocks at. The check
of a sweep asks for the same ones hundreds of times."""


def _asked_at(bare: GeneratorPlan | DiscriminatorPlan) -> tuple[int, ...]:
    sizes: list[int] = []

    def note(resolution: int, channels: int) -> None:
        sizes.append(resolution)

    with torch.device("meta"):
        if isinstance(bare, GeneratorPlan):
            build_generator(replace(bare, after_block=(note,)))
        else:
            build_discriminator(replace(bare, after_block=(note,)))
    return tuple(sizes)


def build(plan: NetworkPlan) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator.

    `generator(z, labels=None, condition=None)` gives samples, `discriminator(x,
    labels=None)` a `Judgement`. Weights come from torch's global
    generator, the generator's first. Raises `ConfigError` for what `check` finds.
    """
    problems = check(plan)
    if problems:
        raise ConfigError(problems)
    return build_generator(plan.generator), build_discriminator(plan.discriminator)


def build_generator(plan: GeneratorPlan) -> nn.Module:
    """One generator: the plan's `builder`'s, else its family's."""
    return (plan.builder or Family.named(plan.family).generator)(plan)


def build_discriminator(plan: DiscriminatorPlan) -> nn.Module:
    """One discriminator: the plan's `builder`'s, else its family's."""
    return (plan.builder or Family.named(plan.family).discriminator)(plan)
