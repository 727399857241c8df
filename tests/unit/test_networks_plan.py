"""From configuration to plan: defaults, and what is refused with all its reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn

from trials.errors import ConfigError
from trials.networks import (
    Family,
    NetworkPlan,
    NetworksConfig,
    block_sizes,
    build,
    check,
    plan_networks,
)
from trials.networks.config import PLAYERS, FamilyOf, settled
from trials.networks.families.mlp import Mlp
from trials.part import temporary_parts
from trials.problems import Problem
from trials.validation import problems_from

DIGITS = (1, 8, 8)


def planned(
    config: dict[str, Any] | None = None, shape: tuple[int, ...] = DIGITS, classes: int = 10
) -> NetworkPlan:
    items = "image" if len(shape) == 3 else "point"
    section = NetworksConfig.model_validate(settled(config or {}, items))
    return plan_networks(section, shape, 64, classes)


def problems(config: dict[str, Any], shape: tuple[int, ...] = DIGITS) -> list[Problem]:
    """What is wrong with a section when it is read, or with what would be built from it."""
    try:
        return check(planned(config, shape))
    except ValidationError as error:
        return problems_from(error, NetworksConfig, "networks")


def paths(plan: NetworkPlan) -> list[str]:
    return [problem.path for problem in check(plan)]


def test_auto_is_dcgan_for_images_and_mlp_for_points() -> None:
    assert planned().generator.family == planned().discriminator.family == "dcgan"
    points = planned(shape=(2,))
    assert points.generator.family == points.discriminator.family == "mlp"


def test_a_family_is_for_the_kind_of_data_that_it_says() -> None:
    with temporary_parts():

        class Shallow(Mlp):
            key = "shallow"
            images = False

        for shape, family, told in (
            (DIGITS, "shallow", "shallow makes points, the data are images"),
            ((2,), "dcgan", "dcgan makes images, the data are points"),
        ):
            found = problems({"family": family}, shape)
            assert [problem.message for problem in found] == [told] * 2
            assert all(family not in problem.expected.split(", ") for problem in found)
        assert "shallow" in found[0].expected, "what takes points is in the registry"


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


def test_knobs_that_the_family_does_not_have_are_refused_all_at_once() -> None:
    found = problems(
        {
            "family": "mlp",
            "generator": {"upsample": "transposed", "head_kernel": 3, "wdith": 5},
            "discriminator": {"code": 5, "pieces": 3},
        },
        shape=(2,),
    )
    assert [(problem.path, problem.message) for problem in found] == [
        (
            "networks.generator.upsample",
            "is an option of biggan, dcgan, resnet, wgan_gp, not of mlp",
        ),
        (
            "networks.generator.head_kernel",
            "is an option of biggan, dcgan, resnet, wgan_gp, not of mlp",
        ),
        ("networks.generator.wdith", "there is no such setting"),
        ("networks.discriminator.code", "is an option of autoencoder, not of mlp"),
        ("networks.discriminator.pieces", "is a knob of maxout (activation: maxout)"),
    ]
    assert found[2].nearest == "width"


def test_a_null_is_a_knob_that_is_not_given() -> None:
    written_by_0_1 = {
        "family": "auto",
        "generator": {
            "family": "auto",
            "width": 32,
            "depth": None,
            "norm": None,
            "upsample": None,
            "activation": None,
            "init": None,
            "head_kernel": None,
            "skip_z": None,
            "convolution": "plain",
            "bias": "auto",
            "pieces": None,
            "embedding": None,
        },
        "discriminator": {
            "family": "auto",
            "width": None,
            "depth": None,
            "norm": None,
            "downsample": None,
            "activation": None,
            "init": None,
            "bias": "auto",
            "pieces": None,
            "embedding": None,
            "code": None,
            "upsample": None,
        },
    }
    for shape in (DIGITS, (2,)):
        old, new = planned(written_by_0_1, shape), planned({"generator": {"width": 32}}, shape)
        assert old == new
    assert [p.path for p in problems({"generator": {"wdith": None}})] == [
        "networks.generator.wdith"
    ]


def test_what_is_recorded_has_every_default_and_reads_back_equal() -> None:
    for key in (*Family.all(), "auto"):
        given = {"discriminator": {"family": key}}
        section = NetworksConfig.model_validate(given)
        recorded = section.model_dump(mode="json")
        assert None not in recorded["discriminator"].values()
        assert "auto" not in (recorded["family"], recorded["discriminator"]["family"])
        assert NetworksConfig.model_validate(recorded) == section


def test_a_family_that_neither_player_has_is_no_family() -> None:
    players = {"generator": {"family": "dcgan"}, "discriminator": {"family": "autoencoder"}}
    assert problems({"family": "dcgan", **players}) == []
    (problem,) = problems({"family": "resnet", **players})
    assert problem.path == "networks.family"
    assert "of neither player" in problem.message


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
    assert path in [problem.path for problem in problems(config, shape)]
    with pytest.raises((ConfigError, ValidationError)):
        build(planned(config, shape))


def inserted(resolution: int, channels: int) -> nn.Module:
    return nn.Identity()


@pytest.mark.parametrize(
    ("family", "player", "change", "path"),
    [
        ("dcgan", "generator", {"norm": "bacth"}, "networks.generator.norm"),
        ("dcgan", "generator", {"family": "autoencoder"}, "networks.generator.family"),
        ("dcgan", "generator", {"conditioning": "norm", "classes": 0}, "data"),
        ("dcgan", "discriminator", {"conditioning": "concat", "classes": 0}, "data"),
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
    plan = planned()
    plan = NetworkPlan(
        replace(plan.generator, activation="maxout"),
        replace(plan.discriminator, norm="no", init="zero"),
    )
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


def test_every_setting_says_what_it_means() -> None:
    sections = [
        getattr(family, choice.config)
        for choice in map(FamilyOf, PLAYERS)
        for family in choice.options().values()
    ]
    for section in (NetworksConfig, *sections):
        assert all(field.description for field in section.model_fields.values()), section


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("family", FamilyOf("generator").options())
def test_the_defaults_of_every_family_have_no_problem(family: str, size: int) -> None:
    for discriminator in ("auto", *FamilyOf("discriminator").options()):
        config = {"family": family, "discriminator": {"family": discriminator}}
        assert check(planned(config, (3, size, size))) == []
