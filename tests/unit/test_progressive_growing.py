"""Growing networks: when they grow, how sizes fade in, and that nothing jumps when one does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweeper.testing.small import differ, small_config, tensors_of, trick_of
from trials.config import problems_of
from trials.evaluation.export import load_generator
from trials.networks.growing import (
    GrowingDiscriminator,
    GrowingGenerator,
    Growth,
    enlarged,
    faded,
    pooled,
)
from trials.networks.plan import LayerInfo
from trials.trainer import Training
from trials.tricks.progressive_growing import equalised

GROWING = {"data": {"name": "digits", "size": 16}, "networks": {"generator": {"norm": "none"}}}


def _training(folder: Path, **knobs: Any) -> Training:
    return Training(small_config(**GROWING, tricks={"progressive_growing": knobs}), folder)


def _players(training: Training) -> tuple[GrowingGenerator, GrowingDiscriminator]:
    game = training.game
    return cast("GrowingGenerator", game.generator), cast(
        "GrowingDiscriminator", game.discriminator
    )


def _z() -> Tensor:
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("length", [100, 3000])
def test_phases_are_shares_of_the_training(length: int) -> None:
    growth = Growth(start=4, size=16, steps=length, grown_by=0.8, fade=0.5)
    shares = {0.0: 0, 0.1: 0, 0.2: 0, 0.3: 0.5, 0.4: 1, 0.5: 1, 0.6: 1, 0.7: 1.5, 0.8: 2, 1.0: 2}
    for share, expected in shares.items():
        step = torch.tensor(round(share * length))
        assert float(growth.position(step)) == pytest.approx(expected)
    assert [growth.size_at(p) for p in (0, 0.01, 1, 1.5, 2)] == [4, 8, 8, 16, 16]


def test_a_size_fades_in_over_the_enlarged_smaller_one(tmp_path: Path) -> None:
    generator, _ = _players(_training(tmp_path, grown_by=1.0, fade=1.0))
    x = generator.sphere(_z()) if generator.sphere is not None else _z()
    images = []
    for stage, head in zip(generator.stages, generator.heads, strict=True):
        x = stage(x)
        images.append(head(x))
    assert [image.shape[-1] for image in images] == [4, 8, 16]
    # Six steps, two doublings: position = step / 3.
    for step, (k, alpha) in enumerate([(0, 0), (0, 1 / 3), (0, 2 / 3), (1, 0), (1, 1 / 3)]):
        generator.grow(step)
        small, large = enlarged(images[k], 16), enlarged(images[k + 1], 16)
        expected = (1 - alpha) * small + alpha * large
        assert torch.allclose(generator.train()(_z()), expected, atol=1e-6)
        assert torch.allclose(generator.eval()(_z()), expected, atol=1e-6)


def test_the_discriminator_does_not_jump_when_it_grows(tmp_path: Path) -> None:
    _, discriminator = _players(_training(tmp_path, grown_by=1.0, fade=1.0))
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    discriminator.grow(3)  # 8×8 is fully in
    before = discriminator(pooled(images, 8)).score
    trunk = cast("Any", discriminator.trunk[0])
    trunk.position = 1 + 1e-7  # 16×16 has just begun
    assert torch.allclose(discriminator(images).score, before, atol=1e-5)
    trunk.position = 2 - 1e-7
    almost = discriminator(images).score
    trunk.position = 2.0
    assert torch.allclose(discriminator(images).score, almost, atol=1e-5)
    assert not torch.allclose(almost, before, atol=1e-4)


def test_real_images_are_brought_down_and_fade_as_generated_ones_do(tmp_path: Path) -> None:
    training = _training(tmp_path, grown_by=1.0, fade=1.0)
    trick = trick_of(training.game, "progressive_growing")
    assert trick is not None
    real = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    sizes = []
    for step in range(6):
        for player in _players(training):
            player.grow(step)
        seen = trick.see(training.game, real, True)
        sizes.append(seen.shape[-1])
        alpha = [1, 1 / 3, 2 / 3, 1, 1 / 3, 2 / 3][step]
        sharp = F.avg_pool2d(real, 16 // sizes[-1])
        blurred = F.avg_pool2d(sharp, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert torch.allclose(seen, alpha * sharp + (1 - alpha) * blurred, atol=1e-6)
        # A generated image is faded already, and is only brought down.
        assert torch.equal(trick.see(training.game, real, False), sharp)
    assert sizes == [4, 8, 8, 8, 16, 16]
    assert torch.equal(faded(real, 1.0), real)


def test_what_is_not_reached_yet_is_not_trained(tmp_path: Path) -> None:
    training = _training(tmp_path, grown_by=1.0)
    start = {k: v.clone() for k, v in training.game.generator.state_dict().items()}
    training.run_to(1)
    now = training.game.generator.state_dict()
    moved = {
        k.split(".")[1] for k in start if k.startswith("stages.") and differ_(start[k], now[k])
    }
    assert moved == {"0"}


def differ_(one: Tensor, other: Tensor) -> bool:
    return not torch.equal(one, other)


def test_a_training_stopped_while_a_size_fades_in_goes_on_bit_for_bit(tmp_path: Path) -> None:
    knobs = {"grown_by": 1.0, "fade": 0.9}
    whole = _training(tmp_path / "whole", **knobs)
    whole.run_to(6)
    stopped = _training(tmp_path / "stopped", **knobs)
    stopped.run_to(2)
    position = _players(stopped)[0].position
    assert 0 < position < 1
    stopped.save()
    resumed = _training(tmp_path / "stopped", **knobs)
    assert resumed.restore()
    resumed.run_to(6)
    assert not differ(tensors_of(whole), tensors_of(resumed))


def test_averaged_weights_are_as_large_as_the_network_that_they_average(tmp_path: Path) -> None:
    tricks = {"progressive_growing": {"grown_by": 1.0}, "ema": {"decay": 0.5, "warm_up": False}}
    training = Training(small_config(**GROWING, tricks=tricks), tmp_path)
    training.run_to(4)
    averaged = cast("GrowingGenerator", training.game.sampling_network())
    assert averaged is not training.game.generator
    assert int(averaged.step) == int(_players(training)[0].step) == 3


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: nn.Linear(300, 200), "linear"),
        (lambda: nn.Conv2d(32, 48, 3, padding=1), "conv"),
        (lambda: nn.ConvTranspose2d(32, 48, 4, 2, 1), "transposed"),
    ],
    ids=["linear", "conv", "transposed"],
)
@pytest.mark.parametrize("last", [False, True])
def test_equalised_weights_are_standard_normal_and_act_with_hes_constant(
    make: Callable[[], nn.Module], kind: Any, last: bool
) -> None:
    torch.manual_seed(0)
    shape = (64, 300) if kind == "linear" else (8, 32, 12, 12)
    wrapped = cast("Any", equalised(make(), LayerInfo(kind, 8, last)))
    nn.init.zeros_(wrapped.bias)
    assert float(wrapped.parametrizations.weight.original.detach().std()) == pytest.approx(
        1, rel=0.05
    )
    # Inputs of variance 1 give outputs of variance 2 before a rectifier, 1 without one.
    out = wrapped(torch.randn(shape))
    if out.dim() == 4:
        out = out[:, :, 2:-2, 2:-2]
    assert math.sqrt(float(out.detach().var())) == pytest.approx(1 if last else 2**0.5, rel=0.05)


def test_a_grown_generator_is_exported_and_traced_at_the_size_it_had(tmp_path: Path) -> None:
    training = _training(tmp_path, grown_by=1.0)
    training.advance()
    generator, _ = _players(training)
    assert 0 < generator.position < 2
    loaded = load_generator(tmp_path)
    with torch.no_grad():
        expected = generator.eval()(_z())
        assert torch.equal(loaded(_z()), expected)
        traced = torch.export.export(loaded, (_z(),)).module()
        assert torch.equal(traced(_z()), expected)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"data": "ring"}, "tricks.progressive_growing"),
        ({"tricks": {"progressive_growing": {"start": 8}}}, "tricks.progressive_growing.start"),
        ({"networks": {"family": "resnet"}}, "networks.generator.family"),
        ({"networks": {"generator": {"init": "he"}}}, "networks.generator.init"),
        ({"networks": {"generator": {"head_kernel": 0}}}, "networks.generator.head_kernel"),
        ({"networks": {"discriminator": {"norm": "virtual_batch"}}}, "networks.discriminator.norm"),
    ],
)
def test_what_cannot_grow_is_refused(changes: dict[str, Any], path: str) -> None:
    mapping = {"data": "digits", "tricks": {"progressive_growing": {}}, **changes}
    assert path in [problem.path for problem in problems_of(mapping)]
