"""One suite over every family of networks: shapes, ranges, gradients, knobs, extension points."""

from __future__ import annotations

import copy
import pickle
import typing
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trials.networks import (
    Judgement,
    NetworkPlan,
    NetworksConfig,
    build,
    check,
    plan_networks,
    prepare_reference,
)
from trials.networks.config import FamilyOf
from trials.networks.family import Family, PlayerKnobs
from trials.networks.plan import LayerInfo

MAKERS = [key for key, family in Family.all().items() if family.GeneratorKnobs]
"""The families that have generators: here all of these make images."""

JUDGES = [key for key, family in Family.all().items() if family.DiscriminatorKnobs]
MAKERS_OF_MAPS = [key for key in MAKERS if Family.named(key).maps]
JUDGES_OF_MAPS = [key for key in JUDGES if Family.named(key).maps]


def makes_with(family: str, knob: str) -> bool:
    """Whether the generator of a family has a knob of this name."""
    knobs = Family.named(family).GeneratorKnobs
    return knobs is not None and knob in knobs.model_fields


SKIPS = [
    (family, skip_z)
    for family in MAKERS
    for skip_z in ("none", "split", "whole")
    if skip_z == "none" or makes_with(family, "skip_z")
]
CONDITIONS = [
    (family, conditioning)
    for family in MAKERS
    for conditioning in ("concat", "norm")
    if conditioning == "concat" or makes_with(family, "norm")
]
POINT = (2,)
LATENT = 12
CLASSES = 3
BATCH = 4


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    """Weights of N(0, 0.02) in a deep network leave gradients that single precision loses."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def plan_of(
    family: str,
    shape: tuple[int, ...] = (1, 8, 8),
    generator: dict[str, Any] | None = None,
    discriminator: dict[str, Any] | None = None,
) -> NetworkPlan:
    """A plan of narrow networks."""
    makes = {"width": 4, **(generator or {})}
    judges = {"family": family, "width": 4, **(discriminator or {})}
    if family not in MAKERS:
        family = "dcgan" if len(shape) == 3 else "mlp"
        judges = {"code": 5, **judges}
    config = NetworksConfig.model_validate(
        {"family": family, "generator": makes, "discriminator": judges}
    )
    return plan_networks(config, shape, LATENT, CLASSES)


def deepest(family: str) -> str:
    """How labels reach the most of a family's generator."""
    return "norm" if family not in MAKERS or makes_with(family, "norm") else "concat"


def skipping(family: str, skip_z: str) -> dict[str, Any]:
    """Knobs of a generator in which every number takes part."""
    return {"activation": "elu", **({"skip_z": skip_z} if makes_with(family, "skip_z") else {})}


def with_generator(plan: NetworkPlan, **changes: Any) -> NetworkPlan:
    return replace(plan, generator=replace(plan.generator, **changes))


def with_discriminator(plan: NetworkPlan, **changes: Any) -> NetworkPlan:
    return replace(plan, discriminator=replace(plan.discriminator, **changes))


def built(plan: NetworkPlan, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Both players; weights that start at zero, as R3GAN's branches end, are moved off it, as the
    first step of a training does: until then nothing behind them takes part."""
    torch.manual_seed(seed)
    players = build(plan)
    for player in players:
        for parameter in player.parameters():
            if parameter.ndim > 1 and not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return players


def biases(family: str, player: str, value: str) -> Tensor:
    """Numbers of parameters under a norm that centres and under one that does not: what a norm
    cancels makes no other images, so that the values of `bias` are told apart by these alone."""
    counts = []
    for norm in ("batch", "pixel" if player == "generator" else "layer"):
        players = built(plan_of(family, **{player: {"norm": norm, "bias": value}}))
        counts.append(sum(weights.numel() for one in players for weights in one.parameters()))
    return torch.tensor(counts, dtype=torch.float64)


def noise(count: int = BATCH) -> Tensor:
    return torch.randn(count, LATENT, generator=torch.Generator().manual_seed(1))


def labels(count: int = BATCH) -> Tensor:
    return torch.arange(count) % CLASSES


def samples(shape: tuple[int, ...], count: int = BATCH) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(2)) * 2 - 1


def assert_alive(module: nn.Module) -> None:
    """Every parameter has a finite gradient that is not zero throughout."""
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert gradient.any(), f"{name} has no influence"


def total(judgement: Judgement) -> Tensor:
    """A scalar that depends on everything the discriminator says."""
    parts = [judgement.score, *judgement.heads.values()]
    return sum((part * torch.randn_like(part)).sum() for part in parts)  # type: ignore[return-value]


# Every family, size and channel count -------------------------------------------------------------

BUILDS = [
    pytest.param(family, (channels, size, size), id=f"{family}-{size}-{channels}")
    for family in JUDGES
    for size in (8, 16, 32, 64, 128, 256)
    for channels in ((1, 3) if size < 128 else (3,))
] + [
    pytest.param(family, POINT, id=f"{family}-points")
    for family in JUDGES
    if Family.named(family).points
]


@pytest.mark.parametrize(("family", "shape"), BUILDS)
def test_a_family_makes_and_judges_samples_and_every_parameter_learns(
    family: str, shape: tuple[int, ...]
) -> None:
    generator, discriminator = built(plan_of(family, shape))
    made = generator(noise())
    assert made.shape == (BATCH, *shape)
    assert made.isfinite().all()
    if len(shape) == 3:
        assert made.abs().max() <= 1
    judgement = discriminator(made)
    assert judgement.score.shape == (BATCH,)
    assert judgement.features.ndim == 2
    assert judgement.features.shape[0] == BATCH
    assert not judgement.heads
    if family == "autoencoder":
        assert judgement.reconstruction.shape == made.shape
        # A higher score is more real: the score is minus the mean squared error.
        error = (judgement.reconstruction - made).square().flatten(1).mean(1)
        torch.testing.assert_close(judgement.score, -error)
    else:
        assert judgement.reconstruction is None
    total(judgement).backward()
    assert_alive(generator)
    assert_alive(discriminator)


@pytest.mark.parametrize("family", JUDGES)
def test_the_seed_fixes_every_weight_and_a_copy_is_the_same_network(family: str) -> None:
    plan = with_discriminator(
        with_generator(plan_of(family), conditioning=deepest(family)), conditioning="concat"
    )
    first, second, other = built(plan), built(plan), built(plan, seed=1)
    for one, same, different in zip(first, second, other, strict=True):
        assert [*one.state_dict()] == [*same.state_dict()]
        pairs = zip(one.parameters(), same.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert any(
            not torch.equal(a, b)
            for a, b in zip(one.parameters(), different.parameters(), strict=True)
        )
    generator, discriminator = first
    made = generator.eval()(noise(), labels())
    for again in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert torch.equal(again(noise(), labels()), made)
    score = discriminator.eval()(made, labels()).score
    assert torch.equal(copy.deepcopy(discriminator)(made, labels()).score, score)


# Knobs --------------------------------------------------------------------------------------------

NUMBERS = {"depth": [1, 2, 3]}
"""Values of the knobs that are no choice between names, where they mean the same everywhere."""

TRIED_ELSEWHERE = {"width", "embedding", "pieces", "code"}
"""Knobs that change shapes, or do something only together with another setting."""


def values_of(config: type[PlayerKnobs], knob: str) -> list[Any]:
    """Every value of a choice; nothing of `maxout` and 0, which need others beside them."""
    if knob in NUMBERS:
        return NUMBERS[knob]
    choices = typing.get_args(config.model_fields[knob].annotation)
    return [value for value in choices if value not in ("maxout", 0)]


def knob_cases(player: Any) -> list[tuple[str, str]]:
    choice = FamilyOf(player)
    return [
        (key, knob)
        for key, family in choice.options().items()
        for knob in getattr(family, choice.config).model_fields
        if knob not in TRIED_ELSEWHERE
    ]


@pytest.mark.parametrize(("family", "knob"), knob_cases("generator"))
def test_every_value_of_a_generator_knob_trains_and_makes_other_images(
    family: str, knob: str
) -> None:
    results: list[Tensor] = []
    config = Family.named(family).GeneratorKnobs
    assert config is not None
    for value in values_of(config, knob):
        if knob == "bias":
            results.append(biases(family, "generator", value))
            continue
        generator, _ = built(plan_of(family, generator={knob: value}))
        prepare_reference(generator, noise())
        made = generator(noise())
        made.mul(samples((1, 8, 8))).sum().backward()
        assert_alive(generator)
        results.append(made.flatten())
    assert_all_differ(results)


@pytest.mark.parametrize(("family", "knob"), knob_cases("discriminator"))
def test_every_value_of_a_discriminator_knob_trains_and_judges_otherwise(
    family: str, knob: str
) -> None:
    results: list[Tensor] = []
    images = samples((1, 8, 8))
    config = Family.named(family).DiscriminatorKnobs
    assert config is not None
    for value in values_of(config, knob):
        if knob == "bias":
            results.append(biases(family, "discriminator", value))
            continue
        _, discriminator = built(plan_of(family, discriminator={knob: value}))
        prepare_reference(discriminator, images)
        score = discriminator(images).score
        score.mul(torch.randn(BATCH)).sum().backward()
        assert_alive(discriminator)
        results.append(score)
    assert_all_differ(results)


def test_every_value_of_an_mlp_activation_and_its_pieces_make_other_points() -> None:
    results = []
    for knobs in (
        {"activation": "relu"},
        {"activation": "maxout", "pieces": 2},
        {"activation": "maxout", "pieces": 5},
    ):
        generator, discriminator = built(plan_of("mlp", POINT, knobs, knobs))
        made = generator(noise())
        total(discriminator(made)).backward()
        assert_alive(generator)
        assert_alive(discriminator)
        results.append(torch.cat([made.flatten(), discriminator(samples(POINT)).score]))
    assert_all_differ(results)


@pytest.mark.parametrize(("family", "skip_z"), SKIPS)
def test_every_number_of_z_shapes_the_image(family: str, skip_z: str) -> None:
    generator, _ = built(plan_of(family, generator=skipping(family, skip_z)))
    z = noise().requires_grad_(True)
    (gradient,) = torch.autograd.grad(generator(z).mul(samples((1, 8, 8))).sum(), z)
    assert (gradient != 0).all()


@pytest.mark.parametrize("skip_z", ["none", "whole", "split"])
@pytest.mark.parametrize("upsample", ["transposed", "nearest_conv", "pixel_shuffle"])
def test_the_last_upsampling_can_make_the_image(upsample: str, skip_z: str) -> None:
    knobs = {"head_kernel": 0, "upsample": upsample, "skip_z": skip_z}
    generator, _ = built(plan_of("dcgan", (3, 16, 16), knobs))
    made = generator(noise())
    assert made.shape == (BATCH, 3, 16, 16)
    made.mul(samples((3, 16, 16))).sum().backward()
    assert_alive(generator)


@pytest.mark.parametrize("knobs", [{"code": 3}, {"code": 7}, {"upsample": "transposed"}])
def test_the_autoencoder_s_own_knobs_change_its_judgement(knobs: dict[str, Any]) -> None:
    images = samples((1, 8, 8))
    _, usual = built(plan_of("autoencoder"))
    _, other = built(plan_of("autoencoder", discriminator=knobs))
    assert_all_differ([usual(images).score, other(images).score])


def assert_all_differ(results: list[Tensor]) -> None:
    for index, one in enumerate(results):
        for other in results[:index]:
            assert one.shape != other.shape or not torch.allclose(one, other)


# Labels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "skip_z", "conditioning"),
    [
        (family, skip_z, conditioning)
        for family, skip_z in SKIPS
        for other, conditioning in CONDITIONS
        if other == family
    ],
)
def test_a_label_changes_its_own_image_and_no_other(
    family: str, skip_z: str, conditioning: str
) -> None:
    plan = with_generator(
        plan_of(family, generator=skipping(family, skip_z)), conditioning=conditioning
    )
    generator, _ = built(plan)
    usual = labels()
    changed = usual.clone()
    changed[1] = 2
    generator(noise(), usual).mul(samples((1, 8, 8))).sum().backward()
    assert_alive(generator)
    generator.eval()
    before, after = generator(noise(), usual), generator(noise(), changed)
    assert not torch.allclose(before[1], after[1])
    torch.testing.assert_close(before[[0, 2, 3]], after[[0, 2, 3]])
    with pytest.raises(ValueError, match="labels"):
        generator(noise())


@pytest.mark.parametrize("embedding", [0, 6])
@pytest.mark.parametrize("conditioning", ["concat", "projection"])
@pytest.mark.parametrize("family", JUDGES)
def test_a_label_changes_the_judgement_of_its_own_image_and_no_other(
    family: str, conditioning: str, embedding: int
) -> None:
    plan = with_discriminator(
        plan_of(family, discriminator={"embedding": embedding}), conditioning=conditioning
    )
    if family == "autoencoder" and conditioning == "projection":
        assert check(plan)[0].path == "networks.discriminator.family"
        return
    _, discriminator = built(plan)
    images, usual = samples((1, 8, 8)), labels()
    changed = usual.clone()
    changed[1] = 2
    before, after = discriminator(images, usual), discriminator(images, changed)
    assert not torch.allclose(before.score[1], after.score[1])
    torch.testing.assert_close(before.score[[0, 2, 3]], after.score[[0, 2, 3]])
    total(before).backward()
    assert_alive(discriminator)
    with pytest.raises(ValueError, match="labels"):
        discriminator(images)


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
@pytest.mark.parametrize("shape", [(1, 8, 8), POINT], ids=["images", "points"])
def test_packed_samples_are_judged_together_with_the_label_that_they_share(
    shape: tuple[int, ...], conditioning: str
) -> None:
    family = "dcgan" if len(shape) == 3 else "mlp"
    plan = with_discriminator(plan_of(family, shape), pack=2, conditioning=conditioning)
    _, discriminator = built(plan)
    packed = samples((2 * shape[0], *shape[1:]))
    score = discriminator(packed, labels()).score
    assert score.shape == (BATCH,)
    assert not torch.allclose(score, discriminator(packed, labels().flip(0)).score)


# Extension points ---------------------------------------------------------------------------------


class Wrapped(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Tensor:
        doubled: Tensor = self.layer(*inputs) * 2
        return doubled


class Scale(nn.Module):
    """Keeps the shape; marks a place in the network. Its convolution is a weight layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x + self.conv(x)
        return scaled


class OneMore(nn.Module):
    """Adds a map (or a feature) that is the batch's mean."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.mean(1, keepdim=True)], 1)


WEIGHTS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)


@pytest.mark.parametrize("family", JUDGES)
def test_every_weight_layer_is_wrapped_and_the_last_ones_are_known(family: str) -> None:
    seen: list[LayerInfo] = []

    def wrap(layer: nn.Module, info: LayerInfo) -> nn.Module:
        seen.append(info)
        return Wrapped(layer)

    plan = plan_of(family, (3, 16, 16))
    plan = with_generator(plan, wrap_layer=(wrap,), conditioning=deepest(family))
    plan = with_discriminator(plan, wrap_layer=(wrap,), heads={"classes": CLASSES})
    if family != "autoencoder":
        plan = with_discriminator(plan, conditioning="projection")
    for network, last in zip(built(plan), ("generator", "discriminator"), strict=True):
        bare = [name for name, module in network.named_modules() if isinstance(module, WEIGHTS)]
        assert bare
        assert all(name.endswith(".layer") for name in bare), f"unwrapped in the {last}"
    # Image; then score (or reconstruction), the class head and the projection.
    assert sum(info.last for info in seen) == (3 if family == "autoencoder" else 4)
    assert {info.kind for info in seen if info.resolution == 16} <= {"conv", "transposed"}
    kinds = {type(module) for network in built(plan) for module in network.modules()}
    assert Wrapped in kinds


@pytest.mark.parametrize("family", JUDGES_OF_MAPS)
def test_modules_are_inserted_once_at_each_size_and_wrapped_like_the_rest(family: str) -> None:
    places: dict[str, list[tuple[int, int]]] = {"generator": [], "discriminator": []}
    wrapped: list[int] = []

    def insert(player: str, resolution: int, channels: int) -> nn.Module | None:
        places[player].append((resolution, channels))
        return Scale(channels) if resolution == 8 else None

    def wrap(layer: nn.Module, info: LayerInfo) -> nn.Module:
        wrapped.append(info.resolution)
        return layer

    plan = plan_of(family, (3, 32, 32), {"depth": 2}, {"depth": 2})
    plan = with_generator(plan, after_block=(lambda r, c: insert("generator", r, c),))
    plan = with_discriminator(
        plan, after_block=(lambda r, c: insert("discriminator", r, c),), wrap_layer=(wrap,)
    )
    generator, discriminator = built(plan)
    plain = sum(isinstance(m, WEIGHTS) for m in discriminator.modules())
    assert len(wrapped) == plain
    for network, found in zip((generator, discriminator), places.values(), strict=True):
        sizes = [resolution for resolution, _ in found]
        assert len(sizes) == len(set(sizes))
        assert 8 in sizes
        assert sum(isinstance(module, Scale) for module in network.modules()) == 1
    total(discriminator(generator(noise()))).backward()
    assert_alive(generator)
    assert_alive(discriminator)


@pytest.mark.parametrize("family", JUDGES_OF_MAPS)
@pytest.mark.parametrize("size", [8, 32])
def test_maps_are_appended_before_the_last_block(family: str, size: int) -> None:
    asked: list[tuple[int, int]] = []

    def append(resolution: int, channels: int) -> nn.Module:
        asked.append((resolution, channels))
        return OneMore()

    plan = with_discriminator(plan_of(family, (1, size, size)), append_maps=(append, append))
    _, discriminator = built(plan)
    (resolution, channels), second = asked
    assert second == (resolution, channels + 1)
    assert resolution <= 8
    total(discriminator(samples((1, size, size)))).backward()
    assert_alive(discriminator)


@pytest.mark.parametrize("family", JUDGES)
def test_features_are_refined_and_read_by_every_head(family: str) -> None:
    def more(features: int) -> tuple[nn.Module, int]:
        return OneMore(), features + 1

    plan = with_discriminator(plan_of(family), after_features=(more, more), heads={"a": 3, "b": 2})
    _, plain = built(plan_of(family))
    _, discriminator = built(plan)
    images = samples((1, 8, 8))
    judgement = discriminator(images)
    assert judgement.features.shape[1] == plain(images).features.shape[1] + 2
    assert {name: head.shape for name, head in judgement.heads.items()} == {
        "a": (BATCH, 3),
        "b": (BATCH, 2),
    }
    total(judgement).backward()
    assert_alive(discriminator)


def test_a_builder_replaces_the_family_s_constructor() -> None:
    plan = plan_of("dcgan")
    generator, discriminator = nn.Identity(), nn.Identity()
    plan = with_generator(plan, builder=lambda _: generator)
    plan = with_discriminator(plan, builder=lambda _: discriminator)
    assert build(plan) == (generator, discriminator)


# Images from images -------------------------------------------------------------------------------


@pytest.mark.parametrize("enlarge", [1, 2, 4])
@pytest.mark.parametrize(
    ("family", "convolution"),
    [
        (family, convolution)
        for family in MAKERS_OF_MAPS
        for convolution in ("plain", "gated")
        if convolution == "plain" or makes_with(family, "convolution")
    ],
)
def test_a_condition_image_and_z_both_shape_the_result(
    family: str, convolution: str, enlarge: int
) -> None:
    knobs = {"convolution": convolution, "upsample": "pixel_shuffle"}
    plan = with_generator(
        plan_of(family, (3, 16, 16), {k: v for k, v in knobs.items() if makes_with(family, k)}),
        condition_channels=4,
        enlarge=enlarge,
        conditioning=deepest(family),
    )
    generator, _ = built(plan)
    condition = samples((4, 16 // enlarge, 16 // enlarge))
    made = generator(noise(), labels(), condition)
    assert made.shape == (BATCH, 3, 16, 16)
    assert made.abs().max() <= 1
    made.mul(samples((3, 16, 16))).sum().backward()
    assert_alive(generator)
    assert not torch.allclose(made, generator(noise(), labels(), condition.flip(3)))
    assert not torch.allclose(made, generator(-noise(), labels(), condition))
    with pytest.raises(ValueError, match="condition"):
        generator(noise(), labels())


@pytest.mark.parametrize("family", MAKERS_OF_MAPS)
def test_the_condition_s_maps_count_at_every_size(family: str) -> None:
    plan = with_generator(plan_of(family, (1, 32, 32)), condition_channels=1, enlarge=2)
    generator, _ = built(plan)
    maps = [
        level.detach().requires_grad_(True) for level in generator.encoder(samples((1, 16, 16)))
    ]
    assert [level.shape[2] for level in maps] == [4, 8, 16]

    class Given(nn.Module):
        def forward(self, condition: Tensor) -> list[Tensor]:
            return maps

    generator.encoder = Given()
    made = generator(noise(), None, samples((1, 16, 16)))
    for gradient in torch.autograd.grad(made.mul(samples((1, 32, 32))).sum(), maps):
        assert gradient.any()
