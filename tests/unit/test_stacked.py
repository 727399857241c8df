"""Two stages: which of them trains when, what each is shown, and that their losses add up."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sweeper.testing.small import differ, small_config, tensors_of, trick_of
from trials.config import problems_of
from trials.evaluation.export import load_generator
from trials.game import Round
from trials.networks.stacked import (
    StackedDiscriminator,
    StackedGenerator,
    apart,
    beside,
    doubled,
    halved,
)
from trials.trainer import Training
from trials.tricks.packing import packed


def _training(folder: Path, tricks: dict[str, Any] | None = None, **knobs: Any) -> Training:
    tricks = {**(tricks or {}), "stacked": knobs}
    config = small_config(data={"name": "digits", "size": 16}, tricks=tricks)
    return Training(config, folder)


def _players(training: Training) -> tuple[StackedGenerator, StackedDiscriminator]:
    game = training.game
    return cast("StackedGenerator", game.generator), cast(
        "StackedDiscriminator", game.discriminator
    )


def _images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("pack", [1, 2])
def test_two_images_beside_each_other_come_apart_again(pack: int) -> None:
    large, small = _images(4, 3, 8, 8), _images(4, 3, 4, 4, seed=1)
    refined, halves = apart(packed(beside(large, small), pack), pack)
    assert torch.equal(refined, packed(large, pack))
    assert torch.allclose(halves, packed(small, pack), atol=1e-6)


def test_standing_beside_each_other_keeps_gradient_norms() -> None:
    joint = beside(_images(1, 1, 8, 8), _images(1, 1, 4, 4)).requires_grad_(True)
    slope = _images(1, 1, 4, 4, seed=2)
    _, small = apart(joint, 1)
    (gradient,) = torch.autograd.grad((slope * small).sum(), joint)
    assert float(gradient.norm()) == pytest.approx(float(slope.norm()), rel=1e-6)


def test_the_second_pair_trains_after_the_first_which_is_then_fixed(tmp_path: Path) -> None:
    training = _training(tmp_path, share=0.5)

    def weights(stage: str) -> list[dict[str, Tensor]]:
        players = _players(training)
        return [copy.deepcopy(getattr(player, stage).state_dict()) for player in players]

    def same(one: list[dict[str, Tensor]], other: list[dict[str, Tensor]]) -> list[bool]:
        return [not differ(a, b) for a, b in zip(one, other, strict=True)]

    first, second = weights("first"), weights("second")
    training.run_to(3)
    assert same(first, weights("first")) == [False, False]
    assert same(second, weights("second")) == [True, True]
    first = weights("first")
    training.run_to(6)
    # Batch statistics are part of what is fixed.
    assert same(first, weights("first")) == [True, True]
    assert same(second, weights("second")) == [False, False]


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(
    "tricks",
    [
        {"orthogonal_regularisation": {"weight": 0.01}},
        {"historical_averaging": {}},
        {"orthogonal_regularisation": {"weight": 0.01}, "spectral_norm": {"generator": True}},
        {},
    ],
    ids=lambda tricks: "-".join(tricks) or "decay",
)
def test_a_fixed_first_generator_is_moved_by_nothing(
    tricks: dict[str, Any], restored: bool, tmp_path: Path
) -> None:
    decay = {"name": "adamw", "weight_decay": 0.1}
    config = small_config(
        data={"name": "digits", "size": 16},
        optimizer={"generator": decay},
        tricks={**tricks, "stacked": {"share": 0.5}},
    )
    training = Training(config, tmp_path)
    training.run_to(3 + restored)
    first = copy.deepcopy(_players(training)[0].first.state_dict())
    if restored:
        training.save()
        training = Training(config, tmp_path)
        assert training.restore()
    second = copy.deepcopy(_players(training)[0].second.state_dict())
    training.run_to(6)
    generator, _ = _players(training)
    assert not differ(first, generator.first.state_dict())
    assert differ(second, generator.second.state_dict())


def test_samples_are_the_firsts_enlarged_and_then_the_seconds(tmp_path: Path) -> None:
    training = _training(tmp_path, share=0.5)
    generator, _ = _players(training)
    z = torch.randn(4, 8)
    training.run_to(3)
    with torch.no_grad():
        generator.eval()
        small = generator.first(z)
        assert small.shape == (4, 1, 8, 8)
        assert torch.equal(generator(z), small.repeat_interleave(2, 2).repeat_interleave(2, 3))
    generator.train()
    training.run_to(6)
    with torch.no_grad():
        generator.eval()
        refined = generator.second(torch.zeros_like(z), None, generator.first(z))
        assert torch.equal(generator(z), refined)


def test_trained_together_both_judge_and_their_losses_add_up(tmp_path: Path) -> None:
    training = _training(tmp_path, training="with")
    game, (generator, discriminator) = training.game, _players(training)
    real, z = _images(8, 1, 16, 16), torch.randn(8, 8)
    fake = generator(z).detach()
    round = Round("discriminator", real, None, z, None, fake)
    terms = game.discriminator_loss(round)
    refined, small = apart(fake, 1)
    expected = torch.zeros(())
    for judge, x, made in (
        (discriminator.second, real, refined),
        (discriminator.first, F.avg_pool2d(real, 2), small),
    ):
        expected = (
            expected + F.softplus(-judge(x).score).mean() + F.softplus(judge(made).score).mean()
        )
    assert torch.allclose(terms["adversarial"], expected, rtol=1e-5)
    training.run_to(2)
    norms = [player.grad for player in (*generator.parameters(), *discriminator.parameters())]
    assert all(gradient is not None for gradient in norms)


@pytest.mark.parametrize("knobs", [{"training": "after"}, {"training": "with"}], ids=str)
def test_averages_files_and_traces_are_at_the_stage_of_the_generator(
    knobs: dict[str, Any], tmp_path: Path
) -> None:
    training = _training(tmp_path, {"ema": {"decay": 0.0, "warm_up": False}}, **knobs)
    generator, _ = _players(training)
    while not training.finished:
        training.advance()
        generator.eval()
        z = torch.randn(4, 8)
        with torch.no_grad():
            averaged = training.game.sampling_network()(z)
            assert averaged.shape == (4, 1, 16, 16)
            assert torch.equal(averaged, generator(z))
        generator.train()
    loaded = load_generator(tmp_path)
    with torch.no_grad():
        traced = torch.export.export(loaded, (z,)).module()
        assert torch.equal(traced(z), loaded(z))


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_training_stopped_in_either_stage_goes_on_bit_for_bit(stop: int, tmp_path: Path) -> None:
    whole = _training(tmp_path / "whole")
    whole.run_to(6)
    stopped = _training(tmp_path / "stopped")
    stopped.run_to(stop)
    stopped.save()
    resumed = _training(tmp_path / "stopped")
    assert resumed.restore()
    resumed.run_to(6)
    assert not differ(tensors_of(whole), tensors_of(resumed))


def test_halving_undoes_doubling() -> None:
    images = _images(2, 3, 4, 4)
    assert torch.allclose(halved(doubled(images)), images, atol=1e-6)


@pytest.mark.parametrize("key", ["perceptual", "style", "total_variation"])
def test_what_is_said_of_images_is_said_of_the_refined_ones(key: str, tmp_path: Path) -> None:
    training = _training(tmp_path, {key: True}, training="with")
    training.run_to(2)
    game = training.game
    trick = trick_of(game, key)
    real, labels = game.dataset.batch(torch.arange(4))
    refined, small = _images(4, 1, 16, 16), _images(4, 1, 8, 8, seed=1)
    z = torch.zeros(4, 8)
    terms = [
        trick.generator_terms(game, Round("generator", real, labels, z, None, fake), {})[key]
        for fake in (beside(refined, small), refined)
    ]
    assert torch.equal(*terms)


@pytest.mark.parametrize(("family", "size"), [("dcgan", 8), ("resnet", 8), ("biggan", 16)])
def test_every_family_of_images_can_be_stacked(family: str, size: int, tmp_path: Path) -> None:
    changes = {"networks": {"family": family}, "tricks": {"stacked": {"share": 0.5}}, "steps": 2}
    changes["data"] = {"name": "digits", "size": size}
    training = Training(small_config(**changes), tmp_path)
    sizes = []
    for step in (1, 2):
        training.run_to(step)
        assert training.evaluate().metrics["fid"] > 0
        sizes.append(_players(training)[0].first(torch.zeros(2, 8)).shape[-1])
    assert sizes == [size // 2, size // 2]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"data": "ring"}, "tricks.stacked"),
        ({"networks": {"generator": {"head_kernel": 0}}}, "networks.generator.head_kernel"),
        ({"networks": {"family": "mlp"}}, "task"),
        ({"networks": {"family": "biggan"}, "data": "digits"}, "networks.generator.skip_z"),
    ],
)
def test_what_cannot_be_stacked_is_refused(changes: dict[str, Any], path: str) -> None:
    data = {"name": "digits", "size": 16}
    mapping = {"data": data, "tricks": {"stacked": {}}, **changes}
    assert path in [problem.path for problem in problems_of(mapping)]
