"""Where papers leave a choice, tricks follow their authors' code, and a knob has the other
reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from sweeper.testing.small import SMALL, small_config, trained
from trials.conditioning.acgan import classification
from trials.config import load_config, problems_of
from trials.networks.build import build
from trials.networks.families.r3gan import Interpolated
from trials.networks.growing import GrowingGenerator
from trials.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from trials.networks.layers.norms import ConditionalNorm, PixelNorm
from trials.presets import merge
from trials.toolkit.weights import weight_matrices
from trials.toolkit.zero_centred import penalty
from trials.tricks.adaptive_augment import AdaptiveAugment
from trials.tricks.feature_matching import ActivationTap
from trials.tricks.latent_consistency import unlikeness


def generator(**changes: Any) -> nn.Module:
    config = small_config(**changes)
    return build(config.plan((1, 8, 8), 10))[0]


def tables(network: nn.Module) -> list[nn.Module]:
    """The class embedding, and whatever makes gains and biases."""
    found: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            found.append(module)
        if isinstance(module, ConditionalNorm):
            found += [module.gain, module.bias]
    return found


ROW_A_CLASS = {"conditioning": {"name": "projection", "generator": "norm"}}
SHARED = {
    **ROW_A_CLASS,
    "networks": {"family": "biggan", "generator": {"embedding": 4}, "discriminator": {}},
}


@pytest.mark.parametrize("class_tables", [False, True])
def test_spectral_norm_leaves_the_generators_class_tables_plain_unless_asked(
    class_tables: bool,
) -> None:
    knobs = {"spectral_norm": {"generator": True, "class_tables": class_tables}}
    made = generator(**ROW_A_CLASS, tricks=knobs)
    assert tables(made)
    assert {is_parametrized(table) for table in tables(made)} == {class_tables}
    others = [m for m in made.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(map(is_parametrized, others))


def test_gains_that_are_linear_in_a_shared_embedding_are_normalised_as_biggans_are() -> None:
    made = generator(**SHARED, tricks={"spectral_norm": {"generator": True}})
    embedding, *maps = tables(made)
    assert isinstance(embedding, nn.Embedding)
    assert not is_parametrized(embedding)
    assert all(map(is_parametrized, maps))


def test_spectral_norm_reaches_what_minibatch_discrimination_compares_with() -> None:
    config = small_config(
        tricks={"spectral_norm": {"iterations": 20}, "minibatch_discrimination": {}}
    )
    judge = build(config.plan((1, 8, 8), 0))[1]
    layer = next(m for m in judge.modules() if isinstance(m, MinibatchDiscrimination))
    weight: torch.Tensor = layer.project.weight
    assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1, abs=0.05)


def test_orthogonal_regularisation_leaves_the_shared_embedding_out() -> None:
    made = generator(**SHARED)
    embedding = next(m for m in made.modules() if isinstance(m, nn.Embedding))
    with_it, without = (list(weight_matrices(made, embeddings=e)) for e in (True, False))
    assert len(with_it) == len(without) + 1
    assert not any(matrix.shape == embedding.weight.shape for matrix in without)


AUGMENTED = {"tricks": {"adaptive_augment": {"initial": 1.0}}}


@pytest.mark.parametrize("key", ["r1", "r2"])
def test_a_zero_centred_penalty_is_taken_at_the_images_through_what_is_shown_of_them(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With images shown at a third of their contrast the slope at the images is a third of that at
    what is shown, and its square a ninth, whatever the discriminator is."""

    def dimmed(self: AdaptiveAugment, game: object, images: torch.Tensor, real: bool) -> Any:
        return images / 3

    monkeypatch.setattr(AdaptiveAugment, "see", dimmed)
    terms = {}
    for place in ("images", "seen"):
        mapping = merge(merge(SMALL, AUGMENTED), {"tricks": {key: {"at": place}}})
        training = trained(mapping, tmp_path / place, 1)
        terms[place] = training.loop.probe.take()[f"loss/discriminator/{key}"]
    assert terms["images"] == pytest.approx(terms["seen"] / 9, rel=1e-4)


def test_gamma_falls_along_its_decay(tmp_path: Path) -> None:
    tricks = {"r1": {"gamma": 2.0, "decay": "linear", "decay_to": 0.5}}
    training = trained(merge(SMALL, {"tricks": tricks}), tmp_path, 1)
    r1: Any = next(t for t in training.game.hooks.tricks if t.key == "r1")
    assert [r1.gamma(progress) for progress in (0.0, 0.5, 1.0)] == [2.0, 1.5, 1.0]


def test_a_packs_slope_is_that_of_all_its_samples(tmp_path: Path) -> None:
    gradients = torch.randn(6, 1, 4, 4, dtype=torch.float64)
    packs = gradients.reshape(3, -1)
    by_hand = sum(float((pack**2).sum()) for pack in packs) / 3 / 2
    assert float(penalty(packs)) == pytest.approx(by_hand)
    training = trained(merge(SMALL, {"tricks": {"r1": True, "packing": True}}), tmp_path, 2)
    assert training.step == 2


def test_augmentation_that_follows_a_schedule_rises_along_half_a_cosine(tmp_path: Path) -> None:
    tricks = {"adaptive_augment": {"rise_to": 0.6}}
    training = trained(merge(SMALL, {"tricks": tricks, "steps": 4}), tmp_path, 3)
    signals = training.game.hooks.signals(training.game)
    assert next(iter(signals.values())) == pytest.approx(0.3)  # of the step that began at a half


def growing(**more: Any) -> GrowingGenerator:
    data = {"name": "digits", "size": 16}
    mapping = merge(SMALL, {"data": data, "tricks": {"progressive_growing": more}})
    made = build(load_config(mapping).plan((1, 16, 16), 0))[0]
    assert isinstance(made, GrowingGenerator)
    return made


def test_pixel_norm_follows_the_activation_in_growing_networks() -> None:
    made = growing()
    made.train()
    made.grow(100)
    seen: list[torch.Tensor] = []
    for stage in made.stages:
        stage.register_forward_hook(lambda module, given, made: seen.append(made))
    made(torch.randn(4, 8))
    # After the norm each pixel's features have mean square 1; an activation after it would halve
    # that.
    assert len(seen) == 3
    for maps in seen:
        assert float(maps.square().mean(1).min()) == pytest.approx(1, abs=1e-3)
    assert any(isinstance(module, PixelNorm) for module in made.stages.modules())


def test_the_first_layer_of_a_growing_generator_acts_with_a_quarter_of_hes_constant() -> None:
    dense = next(m for m in growing().stages.modules() if isinstance(m, nn.Linear))
    raw: Any = dense.parametrizations
    ratio = dense.weight / raw.weight.original
    assert torch.allclose(ratio, torch.tensor(2**0.5 / 4 * 8**-0.5))


def test_optimisers_begin_anew_when_a_size_fades_in_and_when_it_is_in(tmp_path: Path) -> None:
    def ages(renew: bool) -> list[int]:
        """How many steps the generator's Adam remembers, after each step."""
        data = {"name": "digits", "size": 16}
        tricks = {"progressive_growing": {"grown_by": 0.6, "fade": 0.5, "renew_optimizers": renew}}
        mapping = merge(SMALL, {"data": data, "tricks": tricks, "steps": 20})
        training = trained(mapping, tmp_path / str(renew), 0)
        found = []
        for step in range(1, 17):
            training.run_to(step)
            states = training.game.optimizers["generator"].state.values()
            found.append(max(int(state["step"]) for state in states))
        return found

    assert ages(False) == list(range(1, 17))
    # Twelve steps of growth, six a size: three to settle, three in which the next one fades in.
    assert ages(True) == [1, 2, 3, 4, 1, 2, 1, 2, 3, 4, 1, 2, 1, 2, 3, 4]


def test_r3gans_interpolation_keeps_the_mean_and_is_its_own_transpose() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    up, down = Interpolated(up=True).double(), Interpolated(up=False).double()
    assert up(x).shape == (2, 3, 16, 16)
    assert down(x).shape == (2, 3, 4, 4)
    ones = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(up(ones)[..., 1:-1, 1:-1], torch.ones(14, 14, dtype=torch.float64))
    assert torch.allclose(down(ones)[..., 1:-1, 1:-1], torch.ones(2, 2, dtype=torch.float64))
    # ⟨up x, y⟩ = 4 ⟨x, down y⟩
    y = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert float((up(x) * y).sum()) == pytest.approx(4 * float((x * down(y)).sum()))


def test_wgan_gps_critic_begins_with_the_slope_of_its_authors_who_take_a_mean() -> None:
    """Weights drawn by their code's rule give 0.03; with a sum over 8×8 places 64 times that."""
    data = {"name": "cifar10", "path": "nowhere"}
    plan = load_config({"preset": "wgan_gp", "data": data}).plan((3, 32, 32), 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = build(plan)[1]
        images = (torch.rand(8, 3, 32, 32) * 2 - 1).requires_grad_(True)
    (slopes,) = torch.autograd.grad(critic(images).score.sum(), images)
    assert float(slopes.flatten(1).norm(dim=1).mean()) == pytest.approx(0.03, rel=0.5)


def test_the_generators_batch_may_be_larger_than_the_discriminators(tmp_path: Path) -> None:
    """Of a generator and a loss without batch statistics, twice the batch is twice the samples."""
    sizes: dict[str, list[int]] = {"discriminator": [], "generator": []}
    mapping = merge(SMALL, {"generator_batch": 2, "loss": "relativistic", "accumulate": 2})
    training = trained(mapping, tmp_path, 0)
    deal = training.game.hooks.dealt

    def dealt(game: Any, round: Any) -> None:
        sizes[round.player].append(len(round.fake))
        assert len(round.fake) == len(round.real)
        deal(game, round)

    training.game.hooks.dealt = dealt  # type: ignore[method-assign]
    training.run_to(2)
    assert sizes == {"discriminator": [4] * 4, "generator": [8] * 4}


def test_dropout_stands_after_every_block_of_the_judge_and_is_off_in_samples(
    tmp_path: Path,
) -> None:
    tricks = {"dropout": {"share": 0.5, "players": "both"}}
    training = trained(merge(SMALL, {"tricks": tricks}), tmp_path, 1)
    for player in (training.game.generator, training.game.discriminator):
        assert sum(isinstance(module, nn.Dropout) for module in player.modules()) >= 2
    z, labels = training.game.noise(4, torch.Generator().manual_seed(0))
    with training.game.as_sampled(training.game.generator) as network:
        assert torch.equal(network(z, labels), network(z, labels))
    assert not torch.equal(training.game.generator(z), training.game.generator(z))


def test_latent_consistency_against_its_formula(tmp_path: Path) -> None:
    a, b = (torch.randn(3, 1, 4, 4, dtype=torch.float64) for _ in range(2))
    by_hand = sum((float(x) - float(y)) ** 2 for x, y in zip(a.flatten(), b.flatten(), strict=True))
    assert float(unlikeness(a, b)) == pytest.approx(by_hand / a.numel())
    knobs = {"latent_consistency": {"sigma": 1e-6}}
    near = trained(merge(SMALL, {"tricks": knobs}), tmp_path / "near", 2).loop.probe.take()
    knobs = {"latent_consistency": {"sigma": 1.0}}
    far = trained(merge(SMALL, {"tricks": knobs}), tmp_path / "far", 2).loop.probe.take()
    for player, sign in (("discriminator", 1), ("generator", -1)):
        name = f"loss/{player}/latent_consistency"
        assert 0 <= 1000 * sign * near[name] < sign * far[name]


def test_a_smoothed_class_label_is_a_distribution_over_all_classes() -> None:
    logits, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])
    taught = torch.full((5, 4), 0.3 / 3, dtype=torch.float64)
    taught[range(5), labels] = 0.7
    by_hand = -(taught * logits.softmax(1).log()).sum(1).mean()
    assert float(classification(logits, labels, 0.3)) == pytest.approx(float(by_hand))
    plain = -logits.softmax(1).log()[range(5), labels].mean()
    assert float(classification(logits, labels)) == pytest.approx(float(plain))


def test_feature_matching_compares_the_maps_that_it_is_told_to(tmp_path: Path) -> None:
    mapping = merge(SMALL, {"tricks": {"feature_matching": {"layer": 8}}})
    training = trained(mapping, tmp_path, 0)
    seen: list[torch.Tensor] = []
    game = training.game
    tap = next(m for m in game.discriminator.modules() if isinstance(m, ActivationTap))
    tap.register_forward_hook(lambda module, given, made: seen.append(made.detach()))
    training.loop.discriminator_step(probing=False)
    seen.clear()
    training.loop.generator_step(probing=False)
    real, fake = seen
    assert real.shape[2:] == (8, 8)
    expected = (real.mean(0) - fake.mean(0)).square().sum()
    terms = training.loop.probe.take()
    assert terms["loss/generator/feature_matching"] == pytest.approx(float(expected), rel=1e-5)
    assert tap.seen == []
    wrong = merge(SMALL, {"tricks": {"feature_matching": {"layer": 16}}})
    assert [problem.path for problem in problems_of(wrong)] == ["tricks.feature_matching.layer"]


@pytest.mark.parametrize("family", ["dcgan", "resnet"])
def test_depth_may_stand_at_high_resolutions_only(family: str) -> None:
    def convolutions(**knobs: Any) -> list[int]:
        networks = {"family": family, "generator": knobs, "discriminator": knobs}
        data = {"name": "digits", "size": 32}
        plan = small_config(data=data, networks=merge({"generator": {"width": 4}}, networks))
        players = build(plan.plan((1, 32, 32), 0))
        return [sum(isinstance(m, nn.Conv2d) for m in player.modules()) for player in players]

    deep, above, shallow = (
        convolutions(depth=3, deep_from=0),
        convolutions(depth=3, deep_from=16),
        convolutions(depth=1, deep_from=0),
    )
    for every, some, none in zip(deep, above, shallow, strict=True):
        assert none < some < every


def test_r3gans_scores_start_as_its_authors_do() -> None:
    """Their last layers are drawn from N(0, 1/channels), as those before them."""
    config = small_config(
        conditioning="acgan", networks={"family": "r3gan", "discriminator": {"width": 512}}
    )
    judge: Any = build(config.plan((1, 8, 8), 10))[1]
    for layer in (judge.score, judge.heads["class"]):
        spread = float(layer.weight.std()) * layer.in_features**0.5
        assert spread == pytest.approx(1, abs=0.1)
