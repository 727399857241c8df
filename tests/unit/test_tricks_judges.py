"""Several judges of one batch: each one's loss and penalties are its own, and they add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from sweeper.testing.small import small_config, trick_of
from trials import catalogue
from trials.engine.composed_game import ComposedGame
from trials.game import Round
from trials.networks.stacked import StackedDiscriminator
from trials.toolkit.shifts import shifted
from trials.trainer import Training
from trials.tricks.multi_scale_discriminator import MultiScale

BOTH: list[dict[str, Any]] = [
    {"multi_scale_discriminator": {"pool": "average"}},
    {"stacked": {"training": "with"}},
]
"""Two judges each: one of the image at full size, one at half."""

LOSSES = sorted(
    name
    for name, loss in catalogue.in_slot("loss").items()
    if not {"multi_scale_discriminator", "stacked"} & loss.conflicts.keys()
    and name not in catalogue.tricks()["multi_scale_discriminator"].conflicts
)


def _judges(game: ComposedGame) -> list[nn.Module]:
    judge = game.discriminator
    if isinstance(judge, StackedDiscriminator):
        return [judge.second, judge.first]
    return list(cast("MultiScale", judge).scales)


def _game(folder: Path, tricks: dict[str, Any], **changes: Any) -> ComposedGame:
    """A game of two judges, of whom the second scores everything 2 higher."""
    data = {"name": "digits", "size": 16}
    game = Training(small_config(data=data, tricks=tricks, **changes), folder).game
    for parameter in game.discriminator.parameters():
        parameter.data.mul_(3)  # scores and gradients that are far from nothing
    for index, judge in enumerate(_judges(game)):
        cast("Any", judge).score.bias.data.fill_(2.0 * index)
    return game


def _round(game: ComposedGame) -> Round:
    real, _ = game.dataset.batch(torch.arange(6))
    z = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    return Round("discriminator", real, None, z, None, game.generator(z).detach())


def _of_one(round: Round, index: int) -> Round:
    """The round as the judge of this index alone has judged it."""
    alone = Round(round.player, round.real, None, round.z, None, round.fake)
    for side in ("real_judgement", "fake_judgement"):
        judgement = getattr(round, side)
        score = judgement.score.view(2, -1)[index]
        setattr(alone, side, judgement._replace(score=score, judges=1))
    return alone


@pytest.mark.parametrize("tricks", BOTH, ids=lambda tricks: next(iter(tricks)))
@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_of_several_judges_add_up(
    loss: str, tricks: dict[str, Any], tmp_path: Path
) -> None:
    game = _game(tmp_path, tricks, loss=loss)
    round = _round(game)
    own = trick_of(game, loss)
    term = game.discriminator_loss(round)["adversarial"]
    apart = [own.discriminator(_of_one(round, index)) for index in range(2)]
    assert torch.allclose(term, sum(apart, torch.zeros(())), rtol=1e-5, atol=1e-6)
    game.hooks.judges_real = True
    term = game.generator_loss(round)["adversarial"]
    apart = [own.generator(_of_one(round, index)) for index in range(2)]
    assert torch.allclose(term, sum(apart, torch.zeros(())), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tricks", BOTH, ids=lambda tricks: next(iter(tricks)))
def test_each_judge_has_its_own_border(tricks: dict[str, Any], tmp_path: Path) -> None:
    game = _game(tmp_path, tricks, loss="relativistic_average")
    round = _round(game)
    game.discriminator_loss(round)
    border = torch.as_tensor(game.border(round)).expand(12).view(2, 6)
    for index, row in enumerate(border):
        own = _of_one(round, index)
        assert torch.allclose(row, (own.r.mean() + own.f.mean()) / 2)


def _direct(key: str, round: Round, game: ComposedGame) -> list[Tensor]:
    """Each judge's penalty with weight 1, from its own gradients."""
    source = game.streams.augmentation
    assert round.seen_real is not None
    assert round.seen_fake is not None
    real, fake = round.seen_real, round.seen_fake
    if key == "gradient_penalty":
        share = torch.rand(len(real), generator=source).view(-1, 1, 1, 1)
        images = share * real + (1 - share) * fake
    elif key == "dragan":
        images = real + 0.5 * real.std() * torch.rand(real.shape, generator=source)
    else:  # at the images themselves, through what is shown of them
        images = round.fake if key == "r2" else round.real
    values = []
    for index in range(2):
        at = images.clone().requires_grad_(True)
        shown = game.show(at, key == "r1") if key in ("r1", "r2") else at
        scores = game.score(shown, None).score.view(2, -1)[index]
        (gradients,) = torch.autograd.grad(scores.sum(), at)
        norms = gradients.flatten(1).norm(dim=1)
        values.append((norms**2).mean() / 2 if key in ("r1", "r2") else ((norms - 1) ** 2).mean())
    return values


@pytest.mark.parametrize("tricks", BOTH, ids=lambda tricks: next(iter(tricks)))
@pytest.mark.parametrize("key", ["gradient_penalty", "dragan", "r1", "r2"])
def test_each_judges_gradients_are_penalised_alone(
    key: str, tricks: dict[str, Any], tmp_path: Path
) -> None:
    weight = "gamma" if key in ("r1", "r2") else "weight"
    game = _game(tmp_path, {**tricks, key: {weight: 1.0}})
    round = _round(game)
    before = game.streams.augmentation.get_state()
    term = game.discriminator_loss(round)[key]
    game.streams.augmentation.set_state(before)
    values = _direct(key, round, game)
    assert torch.allclose(term, sum(values, torch.zeros(())), rtol=1e-4)
    assert all(float(value) > 1e-6 for value in values)
    term.backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("tricks", BOTH, ids=lambda tricks: next(iter(tricks)))
def test_each_judge_has_its_own_anchors_and_consistency(
    tricks: dict[str, Any], tmp_path: Path
) -> None:
    extra = {"lecam": {"weight": 1.0, "decay": 0.0}, "consistency_regularisation": {"weight": 1.0}}
    game = _game(tmp_path, {**tricks, **extra})
    round = _round(game)
    game.discriminator_loss(round)  # a step, which the anchors remember
    game.hooks.after_discriminator_step(game, round)
    before = game.streams.augmentation.get_state()
    terms = game.discriminator_loss(round)
    game.streams.augmentation.set_state(before)
    down, right = (
        torch.randint(-1, 2, (6,), generator=game.streams.augmentation) for _ in range(2)
    )
    moved = game.score(game.show(shifted(round.real, down, right), True), None).score
    anchored, consistent = torch.zeros(()), torch.zeros(())
    for index in range(2):
        r, f = _of_one(round, index).r, _of_one(round, index).f
        anchored = anchored + ((r - f.mean()) ** 2).mean() + ((f - r.mean()) ** 2).mean()
        consistent = consistent + ((r - moved.view(2, -1)[index]) ** 2).mean()
    assert torch.allclose(terms["lecam"], anchored, rtol=1e-5)
    assert torch.allclose(terms["consistency"], consistent, rtol=1e-5)
