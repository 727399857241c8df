"""From a configuration to a plan, and from a plan to the two networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from trials.errors import ConfigError
from trials.networks.check import check
from trials.networks.config import DiscriminatorConfig, GeneratorConfig, NetworksConfig
from trials.networks.families import FAMILIES
from trials.networks.families.family import Family
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, NetworkPlan
from trials.problems import Problem

__all__ = [
    "block_sizes",
    "build",
    "build_discriminator",
    "build_generator",
    "check",
    "plan_networks",
]

_OPTIONS = frozenset({"bias", "pieces", "embedding", "code", "upsample"})
"""Knobs of a player that travel in ``PlayerPlan.options``, unless its plan has such a field."""


def plan_networks(
    config: NetworksConfig, shape: tuple[int, ...], latent: int, classes: int
) -> NetworkPlan:
    """The plan for data of ``shape`` ((C, H, W) or (D,)), before any trick has changed it.

    ``classes`` is 0 for unlabelled data. Raises :class:`ConfigError` where a knob is given that
    the family does not have; whether the plan can be built is asked of :func:`check`.
    """
    usual = config.family
    if usual == "auto":
        usual = "dcgan" if len(shape) == 3 else "mlp"
    makes, judges = config.generator, config.discriminator
    maker = FAMILIES[usual if makes.family == "auto" else makes.family]
    judge = FAMILIES[usual if judges.family == "auto" else judges.family]
    problems: list[Problem] = []
    g, d = _resolve(makes, maker, problems), _resolve(judges, judge, problems)
    if problems:
        raise ConfigError(problems)
    shared: dict[str, Any] = {"shape": shape, "classes": classes}
    return NetworkPlan(
        GeneratorPlan(family=maker.name, latent=latent, **shared, **g),
        DiscriminatorPlan(family=judge.name, **shared, **d),
    )


def _resolve(
    config: GeneratorConfig | DiscriminatorConfig, family: Family, problems: list[Problem]
) -> dict[str, Any]:
    """The player's fields with the family's defaults filled in; adds to ``problems``."""
    plays_generator = isinstance(config, GeneratorConfig)
    player = "generator" if plays_generator else "discriminator"
    fields = GeneratorPlan if plays_generator else DiscriminatorPlan
    defaults = family.generator_defaults if plays_generator else family.discriminator_defaults
    given = {name: value for name, value in config if name != "family" and value is not None}
    for name in given:
        unknown = name not in defaults and name not in ("bias", "convolution")
        if unknown:
            path = f"networks.{player}.{name}"
            problems.append(Problem(path, f"means nothing to the family {family.name}"))
    if "pieces" in given and given.get("activation", defaults.get("activation")) != "maxout":
        path = f"networks.{player}.pieces"
        problems.append(Problem(path, "is a knob of maxout", "activation: maxout"))
    values = {**defaults, **given}
    own = fields.__dataclass_fields__
    options = {name: values.pop(name) for name in _OPTIONS if name in values and name not in own}
    return {**values, "options": options}


def block_sizes(plan: GeneratorPlan | DiscriminatorPlan) -> tuple[int, ...]:
    """Sizes (heights) at which the family asks ``after_block``, in the order of the network.

    A module meant for any other size would stand nowhere.
    """
    sizes: list[int] = []

    def note(resolution: int, channels: int) -> None:
        sizes.append(resolution)

    bare = replace(plan, builder=None, wrap_layer=(), after_block=(note,))
    with torch.device("meta"):
        if isinstance(bare, GeneratorPlan):
            build_generator(bare)
        else:
            build_discriminator(bare)
    return tuple(sizes)


def build(plan: NetworkPlan) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator.

    ``generator(z, labels=None, condition=None)`` gives samples, ``discriminator(x,
    labels=None)`` a :class:`~trials.networks.plan.Judgement`. Weights come from torch's global
    generator, the generator's first. Raises :class:`ConfigError` for what :func:`check` finds.
    """
    problems = check(plan)
    if problems:
        raise ConfigError(problems)
    return build_generator(plan.generator), build_discriminator(plan.discriminator)


def build_generator(plan: GeneratorPlan) -> nn.Module:
    """One generator: the plan's ``builder``'s, else its family's."""
    make = plan.builder or FAMILIES[plan.family].generator
    assert make is not None, "check refuses a family without generators"
    return make(plan)


def build_discriminator(plan: DiscriminatorPlan) -> nn.Module:
    """One discriminator: the plan's ``builder``'s, else its family's."""
    return (plan.builder or FAMILIES[plan.family].discriminator)(plan)
