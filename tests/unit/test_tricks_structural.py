"""Tricks that change what is played: their mathematics against loops and finite differences."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from sweeper.testing.small import SMALL, differ, small_config, trick_of
from sweeper.tracking.graphs import as_graph
from trials.config import problems_of
from trials.data.dataset import to_unit
from trials.engine.composed_game import ComposedGame
from trials.evaluation.export import load_generator
from trials.game import Round, Steps
from trials.networks.plan import Judgement
from trials.presets import merge
from trials.state.streams import stream
from trials.toolkit.shifts import mirrored, shifted
from trials.trainer import Training
from trials.tricks import (
    adaptive_augment,
    consistency_regularisation,
    diff_augment,
    dynamic_balance,
    multi_scale_discriminator,
    packing,
    truncation,
)

F64 = torch.float64


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def _game(folder: Path, **changes: Any) -> ComposedGame:
    return Training(small_config(**changes), folder).game


# Unrolling


def _unrolled_loss(game: ComposedGame, z: Tensor, real: Tensor, k: int) -> float:
    """The generator's loss against a discriminator that has really taken k steps."""
    judge = copy.deepcopy(game.discriminator)
    fake = game.generator(z)
    rule = game.trial.optimizer.discriminator
    optimizer = rule.part(rule).build(judge.parameters())
    optimizer.load_state_dict(copy.deepcopy(game.optimizers["discriminator"].state_dict()))
    for _ in range(k):
        optimizer.zero_grad()
        loss = F.softplus(-judge(real).score).mean() + F.softplus(judge(fake.detach()).score).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(F.softplus(-judge(fake).score).mean().detach())


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    "own",
    [{"name": "sgd", "lr": 0.5}, {"name": "adam", "lr": 0.02, "beta1": 0.8}],
    ids=["sgd", "adam"],
)
def test_unrolled_gradients_are_those_of_finite_differences_through_k_steps(
    own: dict[str, Any], k: int, tmp_path: Path
) -> None:
    networks = {
        "generator": {"width": 4, "depth": 1, "norm": "none"},
        # A smooth activation, so that differences do not step over a kink.
        "discriminator": {"width": 4, "depth": 2, "activation": "silu"},
    }
    game = _game(
        tmp_path,
        data="ring",
        networks=networks,
        tricks={"unrolled": {"steps": k, "optimiser": own["name"]}},
        optimizer={"discriminator": own},
        latent={"dim": 2},
    )
    game.generator.double()
    game.discriminator.double()
    z, real = _random(6, 2), _random(6, 2, seed=1)
    # Two real steps, so that Adam has moments to go on from.
    for seed in (2, 3):
        game.discriminator(_random(6, 2, seed=seed)).score.sum().backward()
        game.optimizers["discriminator"].step()
        game.optimizers["discriminator"].zero_grad()
    fake = game.generator(z)
    table = Round("generator", real, None, z, None, fake)
    with game.discriminator_frozen():
        loss = game.generator_loss(table)["adversarial"]
        weights = list(game.generator.parameters())
        gradients = torch.autograd.grad(loss, weights)
    assert float(loss.detach()) == pytest.approx(_unrolled_loss(game, z, real, k), rel=1e-9)

    plain = torch.autograd.grad(
        F.softplus(-game.discriminator(game.generator(z)).score).mean(), weights
    )
    for weight, gradient, without in zip(weights, gradients, plain, strict=True):
        flat = weight.data.view(-1)
        for index in range(0, flat.numel(), 3):
            ends = []
            for step in (1e-6, -2e-6):
                flat[index] += step
                ends.append(_unrolled_loss(game, z, real, k))
            flat[index] += 1e-6
            slope = (ends[0] - ends[1]) / 2e-6
            assert float(gradient.view(-1)[index]) == pytest.approx(slope, rel=1e-4, abs=1e-8)
        assert not torch.allclose(gradient, without, rtol=1e-3)


@pytest.mark.parametrize(
    ("penalty", "data"),
    [
        ({"r1": {"gamma": 1.0}}, "ring"),
        ({"r2": {"gamma": 1.0}}, "ring"),
        ({"gradient_penalty": {}}, "ring"),
        ({"dragan": {}}, "ring"),
        ({"consistency_regularisation": {"fake_weight": 5.0}}, "digits"),
    ],
    ids=str,
)
def test_unrolled_gradients_flow_through_what_penalties_judge(
    penalty: dict[str, Any], data: str, tmp_path: Path
) -> None:
    points = data == "ring"
    family = "mlp" if points else "dcgan"
    networks = {
        "generator": {"family": family, "width": 4, "norm": "none", "activation": "silu"},
        "discriminator": {"family": family, "width": 4, "norm": "none", "activation": "silu"},
    }
    game = _game(
        tmp_path,
        data=data,
        networks=networks,
        tricks={"unrolled": {"steps": 1, "optimiser": "sgd"}, **penalty},
        optimizer={"discriminator": {"name": "sgd", "lr": 0.1}},
        latent={"dim": 2},
    )
    game.generator.double()
    game.discriminator.double()
    for index, weight in enumerate(game.discriminator.parameters()):
        # Slopes large enough that penalties matter.
        weight.data.copy_(_random(*weight.shape, seed=index) / weight[0].numel() ** 0.5)
    z, real = _random(4, 2), _random(4, *game.dataset.shape, seed=1)
    source = game.streams.augmentation.get_state()

    def loss() -> Tensor:
        game.streams.augmentation.set_state(source)
        table = Round("generator", real, None, z, None, game.generator(z))
        with game.discriminator_frozen():
            return game.generator_loss(table)["adversarial"]

    weights = list(game.generator.parameters())
    gradients = torch.autograd.grad(loss(), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        flat = weight.data.view(-1)
        for index in range(0, flat.numel(), max(1, flat.numel() // 3)):
            ends = []
            for step in (1e-6, -2e-6):
                flat[index] += step
                ends.append(float(loss().detach()))
            flat[index] += 1e-6
            slope = (ends[0] - ends[1]) / 2e-6
            assert float(gradient.view(-1)[index]) == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    "penalty", ["historical_averaging", "spectral_regularisation", "orthogonal_regularisation"]
)
def test_imagined_steps_feel_penalties_on_the_discriminators_weights(
    penalty: str, tmp_path: Path
) -> None:
    def foreseen(weight: float, folder: Path) -> dict[str, Tensor]:
        knobs = {"weight": weight, "players": "discriminator"}
        if penalty == "spectral_regularisation":
            del knobs["players"]
        tricks = {penalty: knobs, "unrolled": {"steps": 2, "optimiser": "sgd", "lr": 0.01}}
        training = Training(small_config(tricks=tricks), folder)
        training.loop.discriminator_step(False)
        # What is compared is the foresight of one generator step, from one discriminator.
        for weight_, seed in zip(training.game.discriminator.parameters(), range(99), strict=False):
            weight_.data.copy_(_random(*weight_.shape, seed=seed) / 10)
        training.loop.generator_step(False)
        return {k: v.clone() for k, v in training.game.generator.state_dict().items()}

    light, heavy = (foreseen(weight, tmp_path / str(weight)) for weight in (1e-9, 1.0))
    assert differ(light, heavy)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_unrolling_leaves_discriminator_and_optimiser_as_they_were_bit_for_bit(
    optimiser: str, tmp_path: Path
) -> None:
    networks = {"discriminator": {"width": 4, "norm": "batch"}}
    tricks = {"unrolled": {"steps": 3, "optimiser": optimiser}, "spectral_norm": {}}
    training = Training(small_config(networks=networks, tricks=tricks), tmp_path)
    training.run_to(2)
    game = training.game

    def snapshot() -> tuple[dict[str, Tensor], str]:
        judge = {k: v.clone() for k, v in game.discriminator.state_dict().items()}
        return judge, repr(game.optimizers["discriminator"].state_dict())

    judge, optimizer = snapshot()
    before = {k: v.clone() for k, v in game.generator.state_dict().items()}
    training.loop.generator_step(False)
    after_judge, after_optimizer = snapshot()
    assert not differ(judge, after_judge)
    assert optimizer == after_optimizer
    assert differ(before, game.generator.state_dict())
    assert all(p.requires_grad for p in game.discriminator.parameters())


# What the discriminator sees


def test_a_pack_holds_samples_that_follow_each_other() -> None:
    images = _random(6, 2, 3, 3)
    packs = packing.packed(images, 3)
    assert packs.shape == (2, 6, 3, 3)
    for pack in range(2):
        for place in range(3):
            assert torch.equal(packs[pack, 2 * place : 2 * place + 2], images[3 * pack + place])
    assert torch.equal(packing.packed(_random(4, 2), 2)[0], _random(4, 2)[:2].flatten())


def _rounds(training: Training) -> list[Round]:
    """The rounds of a few steps of both players."""
    rounds: list[Round] = []
    hooks = training.game.hooks
    deal = hooks.dealt

    def dealt(game: Any, round: Round) -> None:
        rounds.append(round)
        deal(game, round)

    hooks.dealt = dealt  # type: ignore[method-assign]
    training.run_to(3)
    return rounds


@pytest.mark.parametrize("method", ["concat", "projection", "acgan"])
def test_with_labels_the_samples_of_a_pack_are_of_one_class(method: str, tmp_path: Path) -> None:
    tricks = {"packing": {"samples": 4}, "top_k": {"interval": 0.1}}
    more = {"accumulate": 2, "batch_size": 16, "generator_batch": 2}
    training = Training(small_config(conditioning=method, tricks=tricks, **more), tmp_path)
    data = training.game.dataset
    assert data.labels is not None
    images = [image.numpy().tobytes() for image in to_unit(data.images)]
    known = dict(zip(images, data.labels.tolist(), strict=True))
    classes: set[int] = set()
    for table in _rounds(training):
        assert table.labels is not None
        assert table.fake_labels is not None
        own = [known[image.numpy().tobytes()] for image in table.real]
        assert own == table.labels.tolist()
        for of in (table.labels, table.fake_labels):
            packs = of.view(-1, 4)
            assert bool((packs == packs[:, :1]).all())
            classes |= set(of.tolist())
        # Of several images, not of one again and again.
        assert len({image.numpy().tobytes() for image in table.real}) > len(table.real) // 2
    assert len(classes) > 5


def test_the_classes_of_packs_are_drawn_evenly_from_their_members() -> None:
    labels = torch.tensor([2, 0, 2, 2, 0])
    members, draws = packing.Members(labels), stream("cpu", 0, "test")
    found = members.draw(torch.tensor([0, 2]).repeat(3000), draws)
    assert bool((labels[found] == torch.tensor([0, 2]).repeat(3000)).all())
    counts = torch.bincount(found, minlength=5)
    assert counts.tolist() == pytest.approx([1000, 1500, 1000, 1000, 1500], rel=0.1)


def test_packs_are_of_one_class_and_nothing_older_is_mixed_into_them() -> None:
    mapping = merge(SMALL, {"tricks": {"packing": True, "experience_replay": True}})
    assert problems_of(mapping) == []
    (problem,) = problems_of(merge(mapping, {"conditioning": "projection"}))
    assert problem.path == "tricks.packing"


def test_the_replayed_share_of_a_batch_is_old(tmp_path: Path) -> None:
    game = _game(tmp_path, batch_size=20, tricks={"experience_replay": {"share": 0.3, "size": 50}})
    trick = trick_of(game, "experience_replay")
    seen: list[Tensor] = []
    for step in range(6):
        fresh = torch.full((20, 1, 8, 8), float(step))
        table = Round("discriminator", fresh, None, torch.zeros(20, 8), None, fresh.clone())
        trick.dealt(game, table)
        seen.append(table.fake[:, 0, 0, 0])
        assert len(trick.memory["fake"]) <= 50
    assert (seen[0] == 0).all()
    for step, values in enumerate(seen[1:], 1):
        assert int((values < step).sum()) == 6
    untouched = Round("generator", fresh, None, torch.zeros(20, 8), None, fresh.clone())
    trick.dealt(game, untouched)
    assert torch.equal(untouched.fake, fresh)


@pytest.mark.parametrize("mode", ["resample", "clamp"])
@pytest.mark.parametrize("threshold", [0.1, 0.7, 2.0])
def test_no_truncated_number_lies_beyond_the_threshold(mode: Any, threshold: float) -> None:
    z = _random(500, 16)
    cut = truncation.truncated(z, threshold, mode)
    assert float(cut.abs().max()) <= threshold
    inside = z.abs() <= threshold
    assert torch.equal(cut[inside], z[inside])
    edge = float((cut.abs() == threshold).float().mean())
    share = float((~inside).float().mean())
    assert edge == pytest.approx(share if mode == "clamp" else 0, abs=0.01)


@pytest.mark.parametrize("threshold", [0.05, 0.5, 1.0, 3.0])
def test_truncated_numbers_have_the_truncated_normal_distribution(threshold: float) -> None:
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    cut = truncation.truncated(z, threshold, "resample")
    wanted = stats.truncnorm(-threshold, threshold).cdf
    assert stats.kstest(cut.double().numpy(), wanted).pvalue > 0.01
    beyond = z.abs() > threshold
    assert stats.kstest(cut[beyond].double().numpy(), wanted).pvalue > 0.01


def test_a_truncated_z_is_the_same_in_whichever_batch_it_comes(tmp_path: Path) -> None:
    found = []
    for batch in (128, 256):
        evaluation = {"samples": 512, "batch": batch, "metrics": ["fid"]}
        game = _game(tmp_path, evaluation=evaluation, tricks={"truncation": {"threshold": 0.5}})
        asked: list[Tensor] = []

        class Spy(nn.Module):
            def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
                asked.append(z)  # noqa: B023
                return torch.zeros(len(z), 1, 8, 8)

        draw = game.drawer(Spy(), stream("cpu", 0, "evaluation"))
        for _ in range(512 // batch):
            draw(batch, None)
        found.append(torch.cat(asked))
    assert torch.equal(*found)


def test_truncation_reaches_samples_and_not_training(tmp_path: Path) -> None:
    game = _game(tmp_path, tricks={"truncation": {"threshold": 0.2}})
    asked: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
            asked.append(z)
            return torch.zeros(len(z), 1, 8, 8)

    z, labels = game.noise(64, stream("cpu", 0, "test"))
    assert float(z.abs().max()) > 2
    game.sampled(Spy(), z, labels, stream("cpu", 0, "test"))
    assert float(asked[0].abs().max()) <= 0.2


def test_a_saved_generator_samples_what_was_measured(tmp_path: Path) -> None:
    training = Training(small_config(tricks={"truncation": {"threshold": 0.3}}), tmp_path)
    training.advance()
    game, loaded = training.game, load_generator(tmp_path)
    z, labels = game.noise(16, stream("cpu", 0, "test"))
    with torch.no_grad(), game.as_sampled(game.sampling_network()) as network:
        measured = game.sampled(network, z, labels, stream("cpu", 0, "test"))
        assert torch.equal(loaded(z), measured)
        assert not torch.allclose(loaded(z), network(z, None))
        graph = as_graph(loaded)
        assert torch.allclose(graph(z), measured, atol=1e-6)
        # As any module: the quantiles that it takes are none of half precision's.
        assert torch.allclose(graph.half()(z.half()).float(), measured, atol=0.02)


def test_truncation_repeats_no_z_and_gives_a_picture_the_same_z_at_every_step(
    tmp_path: Path,
) -> None:
    game = _game(tmp_path, latent={"dim": 2}, tricks={"truncation": {"threshold": 0.1}})
    asked: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
            asked.append(z)
            return torch.zeros(len(z), 1, 8, 8)

    draw = game.drawer(Spy(), stream("cpu", 0, "evaluation"))
    for _ in range(4):
        draw(64, None)
    assert len(torch.unique(torch.cat(asked), dim=0)) == 256
    asked.clear()
    z, labels = game.noise(64, stream("cpu", 0, "picture"))
    for step in (10, 20):
        game.step = step
        game.sampled(Spy(), z, labels, stream("cpu", 0, "shown"))
    assert torch.equal(*asked)


@pytest.mark.parametrize("kind", ["color", "translation", "cutout"])
def test_an_augmentation_is_differentiable_and_one_for_each_image(kind: str) -> None:
    noise = torch.Generator().manual_seed(0)

    def draw(count: int) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=noise, dtype=F64)

    x = _random(1, 3, 8, 8).expand(16, -1, -1, -1).clone().requires_grad_(True)
    moved = diff_augment.KINDS[kind](x, draw)
    assert moved.shape == x.shape
    assert len({image.detach().numpy().tobytes() for image in moved}) > 8
    (gradient,) = torch.autograd.grad(moved.square().sum(), x)
    assert torch.isfinite(gradient).all()
    assert (gradient.flatten(1).abs().sum(1) > 0).all()
    state = noise.get_state()

    def again(images: Tensor) -> Tensor:
        noise.set_state(state)
        return diff_augment.KINDS[kind](images, draw)

    assert torch.autograd.gradcheck(again, (_random(2, 1, 4, 4).requires_grad_(True),))


def test_cutout_takes_half_the_side_and_translation_an_eighth() -> None:
    ones = torch.ones(200, 1, 16, 16)
    noise = torch.Generator().manual_seed(0)

    def draw(count: int) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=noise)

    holes = (diff_augment.cutout(ones, draw) == 0).sum((1, 2, 3))
    assert int(holes.max()) == 64
    assert int(holes.min()) >= 16  # a hole may reach over the edge
    rims = (diff_augment.translation(ones, draw) == 0).sum((1, 2, 3))
    assert int(rims.max()) == 16 * 16 - 14 * 14
    assert int(rims.min()) == 0


def test_images_are_moved_by_whole_pixels_and_mirrored() -> None:
    x = _random(2, 1, 4, 4)
    moved = shifted(x, torch.tensor([1, 0]), torch.tensor([0, -2]))
    assert torch.equal(moved[0, :, 1:], x[0, :, :3])
    assert not moved[0, :, 0].any()
    assert torch.equal(moved[1, :, :, :2], x[1, :, :, 2:])
    assert not moved[1, :, :, 2:].any()
    flipped = mirrored(x, torch.tensor([True, False]))
    assert torch.equal(flipped[0], x[0].flip(2))
    assert torch.equal(flipped[1], x[1])


def test_adaptive_augmentation_at_p_zero_is_the_identity_and_p_stays_in_its_bounds() -> None:
    x = torch.rand(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for turn in (False, True):
        still = adaptive_augment.transformed(x, 0.0, torch.Generator().manual_seed(0), turn)
        assert torch.equal(still, x)
        inputs = x.clone().requires_grad_(True)
        all_of_it = adaptive_augment.transformed(inputs, 1.0, torch.Generator(), turn)
        changed = (all_of_it != inputs).flatten(1).any(1)
        assert changed.all()
        (gradient,) = torch.autograd.grad(all_of_it.sum(), inputs)
        assert torch.isfinite(gradient).all()
    p = 0.5
    for sign in (*[1.0] * 30, *[-1.0] * 60):
        p = adaptive_augment.next_p(p, sign, 0.6, images=64, ramp=1000)
        assert 0 <= p <= 1
    assert p == 0
    assert adaptive_augment.next_p(0.2, 0.9, 0.6, 100, 1000) == pytest.approx(0.3)
    assert adaptive_augment.next_p(0.2, 0.1, 0.6, 100, 1000) == pytest.approx(0.1)
    assert adaptive_augment.next_p(0.2, 0.6, 0.6, 100, 1000) == 0.2


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "lsgan", "wgan"])
def test_adaptive_augmentation_sees_no_overfitting_in_a_judge_that_knows_nothing(
    loss: str, tmp_path: Path
) -> None:
    game = _game(tmp_path, loss=loss, tricks={"adaptive_augment": {"initial": 0.5, "interval": 9}})
    augment = trick_of(game, "adaptive_augment")
    real, _ = game.dataset.batch(torch.arange(8))
    table = Round("discriminator", real, None, torch.zeros(8, 8), None, real)
    middle = 0.5 if loss == "lsgan" else 0.0
    scores = middle + torch.tensor([-0.3, -0.2, -0.1, -0.1, 0.1, 0.1, 0.2, 0.3])
    table.real_judgement = table.fake_judgement = Judgement(scores, torch.zeros(8, 1), {})
    augment.discriminator_terms(game, table, {})
    augment.after_discriminator_step(game, table)
    assert augment.signs == [0.0]


def test_a_judge_that_ignores_position_is_consistent(tmp_path: Path) -> None:
    score, again = _random(5), _random(5, seed=1)
    direct = sum((float(a) - float(b)) ** 2 for a, b in zip(score, again, strict=True)) / 5
    value = consistency_regularisation.inconsistency(score, again)
    assert float(value) == pytest.approx(direct)
    game = _game(
        tmp_path, tricks={"consistency_regularisation": {"weight": 3.0, "fake_weight": 2.0}}
    )
    real, _ = game.dataset.batch(torch.arange(8))
    fake = game.generator(torch.randn(8, 8)).detach()
    table = Round("discriminator", real, None, torch.zeros(8, 8), None, fake)
    terms = game.discriminator_loss(table)
    assert float(terms["consistency"].detach()) > 0
    assert float(terms["consistency_fake"].detach()) > 0

    class Blind(nn.Module):
        def forward(self, images: Tensor, labels: Tensor | None = None) -> Any:
            judgement = judge(images, labels)
            return judgement._replace(score=judgement.score * 0 + 7)

    judge, game.discriminator = game.discriminator, Blind()
    terms = game.discriminator_loss(table)
    assert float(terms["consistency"].detach()) == 0


@pytest.mark.parametrize("pool", ["max", "average"])
def test_losses_of_several_scales_add_up(pool: str, tmp_path: Path) -> None:
    game = _game(
        tmp_path,
        data={"name": "digits", "size": 32},
        tricks={"multi_scale_discriminator": {"scales": 3, "pool": pool}},
    )
    real, _ = game.dataset.batch(torch.arange(4))
    fake = game.generator(torch.randn(4, 8)).detach()
    terms = game.discriminator_loss(
        Round("discriminator", real, None, torch.zeros(4, 8), None, fake)
    )
    judge = cast("multi_scale_discriminator.MultiScale", game.discriminator)
    down = F.max_pool2d if pool == "max" else F.avg_pool2d
    expected = torch.zeros(())
    for index, scale in enumerate(judge.scales):
        x, made = (down(t, 2**index) if index else t for t in (real, fake))
        expected = (
            expected + F.softplus(-scale(x).score).mean() + F.softplus(scale(made).score).mean()
        )
    assert torch.allclose(terms["adversarial"], expected, rtol=1e-5)
    weights = [list(scale.parameters()) for scale in judge.scales]
    assert len({id(p) for group in weights for p in group}) == sum(map(len, weights))


# The dynamics


def test_accuracy_is_counted_from_where_the_loss_parts_the_sides(tmp_path: Path) -> None:
    game = _game(tmp_path, loss="lsgan", tricks={"dynamic_balance": True})
    balance = trick_of(game, "dynamic_balance")
    nothing = torch.zeros(4, 1)
    table = Round("discriminator", nothing, None, nothing, None, nothing)
    # Least squares teaches 1 for real and 0 for generated images: these are all told apart.
    table.real_judgement = Judgement(torch.tensor([0.7, 0.8, 0.9, 1.0]), nothing, {})
    table.fake_judgement = Judgement(torch.tensor([0.0, 0.1, 0.2, 0.3]), nothing, {})
    balance.discriminator_terms(game, table, {"adversarial": torch.ones(())})
    balance.after_discriminator_step(game, table)
    assert balance.averages["accuracy"] == 1.0


def test_the_one_who_leads_waits_within_bounds() -> None:
    steps, seen = Steps(3, 1), []
    for _ in range(5):
        steps = dynamic_balance.balanced(steps, "discriminator", 3)
        seen.append(tuple(steps))
    assert seen == [(2, 1), (1, 1), (1, 2), (1, 3), (1, 3)]
    for _ in range(5):
        steps = dynamic_balance.balanced(steps, "generator", 3)
        seen.append(tuple(steps))
    assert seen[5:] == [(1, 2), (1, 1), (2, 1), (3, 1), (3, 1)]
    assert dynamic_balance.balanced(steps, "", 3) == steps


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_lazy_penalty_is_the_same_in_however_many_parts_a_batch_is_computed(
    penalty: str, tmp_path: Path
) -> None:
    def weights(parts: int) -> dict[str, Tensor]:
        network = {"width": 4, "norm": "none"}
        rule = {"name": "sgd", "lr": 0.01}
        config = small_config(
            networks={"generator": network, "discriminator": network},
            optimizer={"generator": rule, "discriminator": rule},
            accumulate=parts,
            tricks={penalty: {"every": 2}},
        )
        training = Training(config, tmp_path / str(parts))
        training.run_to(3)
        return training.game.discriminator.state_dict()

    whole, parts = weights(1), weights(2)
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], rtol=1e-4, atol=1e-6), name
