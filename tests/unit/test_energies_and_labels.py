"""Autoencoder discriminators, codes and classes: their losses against loops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sweeper.testing.small import small_config, trick_of
from trials.conditioning import acgan, infogan
from trials.engine.composed_game import ComposedGame
from trials.errors import ConfigError
from trials.game import Round
from trials.losses import energy
from trials.state.streams import stream
from trials.trainer import Training

F64 = torch.float64


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def _game(folder: Path, **changes: Any) -> ComposedGame:
    return Training(small_config(**changes), folder).game


# Energies


def test_energies_are_means_over_the_numbers_of_a_sample() -> None:
    x, again = _random(3, 2, 2, 2), _random(3, 2, 2, 2, seed=1)
    for power in (1, 2):
        direct = [
            np.mean(
                [
                    abs(float(a - b)) ** power
                    for a, b in zip(one.flatten(), other.flatten(), strict=True)
                ]
            )
            for one, other in zip(x, again, strict=True)
        ]
        assert energy.energy(x, again, power).tolist() == pytest.approx(direct)


def test_pulling_away_is_the_mean_squared_cosine_of_other_samples() -> None:
    codes = _random(5, 7)
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                cosine = float(codes[i] @ codes[j]) / float(codes[i].norm() * codes[j].norm())
                total += cosine**2
    assert float(energy.pulling_away(codes)) == pytest.approx(total / 20)
    assert torch.autograd.gradcheck(energy.pulling_away, (codes.requires_grad_(True),))


@pytest.mark.parametrize("changes", [{"accumulate": 8}, {"tricks": {"packing": {"samples": 8}}}])
def test_nothing_pulls_a_lone_sample_away(changes: dict[str, Any], tmp_path: Path) -> None:
    assert float(energy.pulling_away(_random(1, 7))) == 0
    training = Training(small_config(loss="ebgan", **changes), tmp_path)
    training.run_to(2)
    assert training.step == 2
    for weight in training.game.generator.parameters():
        assert weight.isfinite().all()


def _energies(game: ComposedGame, table: Round, power: int) -> tuple[float, float]:
    """e(x) and e(G(z)) by hand."""
    judge = cast("Any", game.discriminator)
    return tuple(  # type: ignore[return-value]
        float((images - judge(images).reconstruction).abs().pow(power).mean().detach())
        for images in (table.real, table.fake)
    )


def _table(game: ComposedGame, player: Any) -> Round:
    real, _ = game.dataset.batch(torch.arange(8))
    z = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    return Round(player, real, None, z, None, game.generator(z).detach())


def test_the_margin_holds_for_each_sample_by_itself(tmp_path: Path) -> None:
    game = _game(tmp_path, loss={"name": "ebgan", "margin": 1.0})
    table = _table(game, "discriminator")
    judge = cast("Any", game.discriminator)
    again = judge(table.fake).reconstruction.detach()
    energies = sorted((table.fake - again).square().flatten(1).mean(1).tolist())
    # Half of the samples lie above this margin, and theirs is no reason to spare the others.
    margin = (energies[3] + energies[4]) / 2
    direct = sum(max(0.0, margin - e) for e in energies) / len(energies)
    found = energy.short_of(margin, torch.tensor(energies))
    assert float(found) == pytest.approx(direct, rel=1e-5)
    game = _game(tmp_path / "other", loss={"name": "ebgan", "margin": margin})
    table = _table(game, "discriminator")
    real, _ = _energies(game, table, 2)
    terms = game.discriminator_loss(table)
    assert float(terms["adversarial"].detach()) == pytest.approx(real + direct, rel=1e-5)


@pytest.mark.parametrize("margin", [0.05, 10.0])
def test_ebgan_pushes_generated_energy_up_to_the_margin_only(margin: float, tmp_path: Path) -> None:
    loss = {"name": "ebgan", "margin": margin, "pulling_away": 0.1}
    game = _game(tmp_path, loss=loss)
    table = _table(game, "discriminator")
    real, fake = _energies(game, table, 2)
    terms = game.discriminator_loss(table)
    expected = real + max(0.0, margin - fake)
    assert float(terms["adversarial"].detach()) == pytest.approx(expected, rel=1e-5)
    table = _table(game, "generator")
    terms = game.generator_loss(table)
    assert float(terms["adversarial"].detach()) == pytest.approx(fake, rel=1e-5)
    assert table.fake_judgement is not None
    apart = 0.1 * float(energy.pulling_away(table.fake_judgement.features).detach())
    assert float(terms["pulling_away"].detach()) == pytest.approx(apart)


def test_began_balances_the_energies_by_k(tmp_path: Path) -> None:
    game = _game(tmp_path, loss={"name": "began", "gamma": 0.5, "rate": 0.1})
    trick = trick_of(game, "began")
    k = 0.0
    for _ in range(3):
        table = _table(game, "discriminator")
        real, fake = _energies(game, table, 1)
        terms = game.discriminator_loss(table)
        assert float(terms["adversarial"].detach()) == pytest.approx(real - k * fake, rel=1e-5)
        trick.after_discriminator_step(game, table)
        k = min(1.0, max(0.0, k + 0.1 * (0.5 * real - fake)))
        signals = trick.signals(game)
        assert signals["k"] == pytest.approx(k, abs=1e-7)
        assert signals["convergence"] == pytest.approx(real + abs(0.5 * real - fake), rel=1e-5)
    clipped = energy.next_k(torch.tensor(0.99), torch.tensor(4.0), torch.tensor(0.1), 0.5, 1.0)
    assert float(clipped) == 1


# Labels and codes


def test_the_information_bound_is_log_likelihood_plus_entropy() -> None:
    logits, chosen = _random(6, 4), torch.tensor([0, 1, 2, 3, 0, 2])
    codes = F.one_hot(chosen, 4).to(F64)
    log_q = [float(F.log_softmax(logits[i], dim=0)[chosen[i]]) for i in range(6)]
    bound = infogan.categorical_bound(logits, codes)
    assert float(bound) == pytest.approx(np.mean(log_q) + math.log(4))
    certain = infogan.categorical_bound(1e4 * codes, codes)
    assert float(certain) == pytest.approx(math.log(4))
    ignorant = infogan.categorical_bound(torch.zeros(6, 4, dtype=F64), codes)
    assert float(ignorant) == pytest.approx(0)


def test_continuous_codes_are_judged_by_a_gaussian() -> None:
    output, codes = _random(5, 4), _random(5, 2, seed=1)
    direct = 0.0
    for i in range(5):
        for j in range(2):
            mean, variance = float(output[i, j]), math.exp(float(output[i, 2 + j]))
            square = (float(codes[i, j]) - mean) ** 2
            direct += -square / (2 * variance) - math.log(math.sqrt(2 * math.pi * variance))
    assert float(infogan.gaussian_log_likelihood(output, codes)) == pytest.approx(direct / 5)


def test_codes_are_one_hot_and_uniform_and_follow_the_noise(tmp_path: Path) -> None:
    game = _game(tmp_path, conditioning={"name": "infogan", "categories": 5, "continuous": 3})
    z, labels = game.noise(400, stream("cpu", 0, "test"))
    assert labels is None
    assert z.shape == (400, 8 + 5 + 3)
    assert torch.equal(z[:, 8:13].sum(1), torch.ones(400))
    assert (z[:, 8:13].sum(0) > 50).all()
    assert float(z[:, 13:].abs().max()) <= 1
    assert float(z[:, 13:].std()) == pytest.approx(3**-0.5, rel=0.05)


def test_the_auxiliary_classifier_is_scored_by_cross_entropy(tmp_path: Path) -> None:
    logits, labels = _random(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    direct = -np.mean([float(F.log_softmax(logits[i], 0)[labels[i]]) for i in range(6)])
    assert float(acgan.classification(logits, labels)) == pytest.approx(direct)
    conditioning = {"name": "acgan", "discriminator_weight": 2.0, "generator_weight": 3.0}
    game = _game(tmp_path, conditioning=conditioning)
    real, labels = cast("tuple[Tensor, Tensor]", game.dataset.batch(torch.arange(8)))
    z, made_labels = game.noise(8, stream("cpu", 0, "test"))
    fake = game.generator(z, made_labels).detach()
    table = Round("discriminator", real, labels, z, made_labels, fake)
    terms = game.discriminator_loss(table)
    assert made_labels is not None
    of_real, of_fake = (
        float(F.cross_entropy(game.discriminator(x, y).heads["class"], y).detach())
        for x, y in ((real, labels), (fake, made_labels))
    )
    assert float(terms["class"].detach()) == pytest.approx(2 * (of_real + of_fake), rel=1e-5)
    terms = game.generator_loss(Round("generator", real, labels, z, made_labels, fake))
    assert float(terms["class"].detach()) == pytest.approx(3 * of_fake, rel=1e-5)


def test_who_names_classes_needs_two_of_them(tmp_path: Path) -> None:
    file = tmp_path / "one.npz"
    np.savez(file, images=np.zeros((64, 8, 8), np.uint8), labels=np.zeros(64, int))
    changes = {"data": {"name": "npz", "path": str(file)}, "conditioning": "acgan"}
    changes["evaluation"] = {"extractor": "random"}
    with pytest.raises(ConfigError) as refused:
        _game(tmp_path / "trial", **changes)
    (problem,) = refused.value.problems
    assert problem.path == "conditioning"
    assert "these data have one class" in problem.message
