"""From configuration to plan: defaults, and what is refused with all its reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from torch import nn

from trials.errors import ConfigError
from trials.networks import (
    DiscriminatorConfig,
    GeneratorConfig,
    NetworkPlan,
    NetworksConfig,
    block_sizes,
    build,
    check,
    plan_networks,
)

DIGITS = (1, 8, 8)


def planned(
    config: dict[str, Any] | None = None, shape: tuple[int, ...] = DIGITS, classes: int = 10
) -> NetworkPlan:
    return plan_networks(NetworksConfig.model_validate(config or {}), shape, 64, classes)


def paths(plan: NetworkPlan) -> list[str]:
    return [problem.path for problem in check(plan)]


def test_auto_is_dcgan_for_images_and_mlp_for_points() -> None:
    assert planned().generator.family == planned().discriminator.family == "dcgan"
    points = planned(shape=(2,))
    assert points.generator.family == points.discriminator.family == "mlp"


def test_a_player_may_have_a_family_of_its_own() -> None:
    plan = planned({"family": "resnet", "discriminator": {"family": "autoencoder"}})
    assert plan.generator.family == "resnet"
    assert plan.discriminator.family == "autoencoder"
    assert not check(plan)


def test_what_is_not_given_is_the_family_s_default() -> None:
    plan = planned({"generator": {"norm": "layer"}}).generator
    assert (plan.norm, plan.upsample, plan.init) == ("layer", "transposed", "normal")
    assert planned({"family": "biggan"}).generator.skip_z == "split"
    assert planned({"family": "resnet"}).generator.upsample == "nearest_conv"


@pytest.mark.parametrize(
    "config",
    [
        {"generator": {"wdith": 3}},
        {"generator": {"norm": "group"}},
        {"generator": {"width": 0}},
        {"discriminator": {"norm": "pixel"}},
        {"family": "vgg"},
    ],
)
def test_a_name_or_number_that_cannot_be_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NetworksConfig.model_validate(config)


def test_a_knob_that_the_family_does_not_have_is_refused_with_its_path() -> None:
    with pytest.raises(ConfigError) as error:
        planned(
            {
                "family": "mlp",
                "generator": {"upsample": "transposed", "head_kernel": 3},
                "discriminator": {"code": 5, "pieces": 3},
            },
            shape=(2,),
        )
    assert [problem.path for problem in error.value.problems] == [
        "networks.generator.upsample",
        "networks.generator.head_kernel",
        "networks.discriminator.code",
        "networks.discriminator.pieces",
    ]


@pytest.mark.parametrize(
    ("config", "shape", "path"),
    [
        ({}, (3, 24, 24), "data.size"),
        ({}, (3, 512, 512), "data.size"),
        ({}, (3, 4, 4), "data.size"),
        ({}, (3, 8, 16), "data.size"),
        ({"family": "mlp"}, (3, 24, 24), "data.size"),
        ({"family": "resnet"}, (2,), "networks.generator.family"),
        ({"family": "mlp", "generator": {"norm": "instance"}}, (2,), "networks.generator.norm"),
        (
            {"family": "mlp", "generator": {"convolution": "gated"}},
            (2,),
            "networks.generator.convolution",
        ),
        ({"generator": {"activation": "maxout"}}, DIGITS, "networks.generator.activation"),
        (
            {"discriminator": {"family": "autoencoder", "activation": "maxout"}},
            (2,),
            "networks.discriminator.activation",
        ),
        (
            {"family": "resnet", "generator": {"head_kernel": 0}},
            DIGITS,
            "networks.generator.head_kernel",
        ),
        (
            {"family": "mlp", "generator": {"depth": 1, "skip_z": "split"}},
            (2,),
            "networks.generator.skip_z",
        ),
        (
            {"generator": {"head_kernel": 0, "skip_z": "split"}},
            DIGITS,
            "networks.generator.skip_z",
        ),
    ],
)
def test_a_combination_that_cannot_be_built_is_a_problem(
    config: dict[str, Any], shape: tuple[int, ...], path: str
) -> None:
    plan = planned(config, shape)
    assert path in paths(plan)
    with pytest.raises(ConfigError):
        build(plan)


def inserted(resolution: int, channels: int) -> nn.Module:
    return nn.Identity()


@pytest.mark.parametrize(
    ("family", "player", "change", "path"),
    [
        ("dcgan", "generator", {"norm": "bacth"}, "networks.generator.norm"),
        ("dcgan", "generator", {"family": "autoencoder"}, "networks.generator.family"),
        ("dcgan", "generator", {"conditioning": "norm", "classes": 0}, "data"),
        ("dcgan", "discriminator", {"conditioning": "concat", "classes": 0}, "data"),
        ("dcgan", "discriminator", {"conditioning": "projection", "pack": 2}, "conditioning"),
        ("dcgan", "generator", {"latent": 0}, "latent"),
        ("dcgan", "generator", {"latent": 1, "skip_z": "split"}, "latent"),
        ("dcgan", "generator", {"enlarge": 2}, "task"),
        ("dcgan", "generator", {"condition_channels": 3, "enlarge": 4}, "task"),
        ("dcgan", "generator", {"condition_channels": 3, "enlarge": 3}, "task"),
        (
            "dcgan",
            "generator",
            {"condition_channels": 3, "head_kernel": 0},
            "networks.generator.head_kernel",
        ),
        ("mlp", "generator", {"condition_channels": 3}, "task"),
        ("mlp", "generator", {"after_block": (inserted,)}, "networks.generator.family"),
        ("mlp", "discriminator", {"append_maps": (inserted,)}, "networks.discriminator.family"),
    ],
)
def test_a_trick_s_change_that_the_family_cannot_honour_is_a_problem(
    family: str, player: str, change: dict[str, Any], path: str
) -> None:
    plan = planned({"family": family})
    plan = replace(plan, **{player: replace(getattr(plan, player), **change)})
    assert path in paths(plan)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    plan = planned()
    plan = replace(plan, generator=replace(plan.generator, norm="bacth", upsample="nearest"))
    assert [problem.nearest for problem in check(plan)] == ["batch", "nearest_conv"]


def test_all_problems_of_both_players_come_at_once() -> None:
    plan = planned({"generator": {"activation": "maxout"}, "discriminator": {"norm": "batch"}})
    plan = replace(plan, discriminator=replace(plan.discriminator, norm="no", init="zero"))
    assert len(check(plan)) == 3


@pytest.mark.parametrize(
    ("family", "generator", "discriminator"),
    [
        ("dcgan", (4, 8, 16, 32), (32, 16, 8, 4)),
        ("resnet", (4, 8, 16, 32), (16, 8)),
        ("biggan", (4, 8, 16, 32), (16, 8)),
        ("mlp", (), ()),
    ],
)
def test_the_sizes_at_which_modules_can_be_inserted_are_known(
    family: str, generator: tuple[int, ...], discriminator: tuple[int, ...]
) -> None:
    plan = planned({"family": family}, (3, 32, 32))
    assert block_sizes(plan.generator) == generator
    assert block_sizes(plan.discriminator) == discriminator


@pytest.mark.parametrize("section", [NetworksConfig, GeneratorConfig, DiscriminatorConfig])
def test_every_setting_says_what_it_means(section: type[BaseModel]) -> None:
    assert all(field.description for field in section.model_fields.values())


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("family", ["dcgan", "resnet", "biggan", "mlp"])
def test_the_defaults_of_every_family_have_no_problem(family: str, size: int) -> None:
    for discriminator in ("auto", "autoencoder"):
        config = {"family": family, "discriminator": {"family": discriminator}}
        assert check(planned(config, (3, size, size))) == []
