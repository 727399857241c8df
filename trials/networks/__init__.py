"""Generators and discriminators: families, layers, and the plan that tricks may change."""

from __future__ import annotations

from trials.networks.build import (
    block_sizes,
    build,
    build_discriminator,
    build_generator,
    check,
    plan_networks,
)
from trials.networks.config import NetworksConfig
from trials.networks.family import Family, PlayerKnobs
from trials.networks.layers.virtual_batch import needs_reference, prepare_reference
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, Judgement, NetworkPlan

__all__ = [
    "DiscriminatorPlan",
    "Family",
    "GeneratorPlan",
    "Judgement",
    "NetworkPlan",
    "NetworksConfig",
    "PlayerKnobs",
    "block_sizes",
    "build",
    "build_discriminator",
    "build_generator",
    "check",
    "needs_reference",
    "plan_networks",
    "prepare_reference",
]
