"""Mixtures of generators: how members are chosen, who makes which sample, what is saved."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sweeper.testing.small import small_config, trick_of
from trials.config import problems_of
from trials.evaluation.export import load_generator
from trials.metrics.frechet import Moments, Reference
from trials.networks.mixture import Mixture, shares
from trials.precision import multiplied
from trials.trainer import Training
from trials.tricks.generator_ensemble import (
    GeneratorEnsemble,
    fall_error,
    greedy,
    mixed,
    mixture_distance,
)


def _features(seed: int, *, count: int = 60, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    noise = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    offset = torch.tensor([shift, 0.0, 0.0])
    return noise * scale + offset


def _candidates() -> tuple[Reference, list[Tensor]]:
    """Data in two heaps; generators that have one heap each, both badly, or neither."""
    heaps = [_features(1, shift=-3), _features(2, shift=3)]
    reference = Reference.of(Moments.of(torch.cat(heaps)))
    made = [
        _features(3, shift=-3),
        _features(4, shift=0, scale=2.5),
        _features(5, shift=3.2),
        _features(6, shift=9),
        _features(7, shift=-2.5),
    ]
    return reference, made


def test_the_greedy_choice_is_the_best_addition_at_every_step() -> None:
    reference, made = _candidates()
    chosen, distance = greedy(reference, made, 3)
    kept: list[int] = []
    best = float("inf")
    for index in chosen:
        tried = {
            other: mixture_distance(reference, [made[k] for k in (*kept, other)])
            for other in range(len(made))
            if other not in kept
        }
        assert tried[index] == min(tried.values()) < best
        best = tried[index]
        kept.append(index)
    assert distance == best


def test_two_generators_with_half_the_modes_each_are_mixed() -> None:
    reference, made = _candidates()
    halves = [made[0], made[2], made[3]]
    chosen, distance = greedy(reference, halves, 2)
    pairs = {
        pair: mixture_distance(reference, [halves[k] for k in pair])
        for pair in itertools.combinations(range(3), 2)
    }
    nearest = min(pairs.items(), key=lambda item: item[1])[0]
    assert set(chosen) == {0, 1} == set(nearest)
    assert distance == pytest.approx(pairs[(0, 1)])
    alone = min(mixture_distance(reference, [features]) for features in halves)
    assert distance < alone / 5


def test_samplings_of_one_generator_are_not_preferred_to_one_of_them() -> None:
    for seed in range(10):
        draw = torch.Generator().manual_seed(seed)
        stretch = torch.randn(64, 64, generator=draw) / 8
        reference = Reference.of(Moments.of(torch.randn(2048, 64, generator=draw) @ stretch))
        samplings = [torch.randn(512, 64, generator=draw) @ stretch for _ in range(4)]
        alone = min(mixture_distance(reference, [sampling]) for sampling in samplings)
        # Four times as many samples halve the distance of the very same generator.
        assert reference.distance(Moments.of(torch.cat(samplings))) < alone / 2
        assert greedy(reference, samplings, 4) == ([greedy(reference, samplings, 1)[0][0]], alone)


@pytest.mark.parametrize("shift", [0.1, 0.5, 2.0])
def test_a_shifted_generator_never_dilutes_a_perfect_one(shift: float) -> None:
    for seed in range(10):
        draw = torch.Generator().manual_seed(seed)
        stretch = torch.randn(64, 64, generator=draw) / 8
        reference = Reference.of(Moments.of(torch.randn(2048, 64, generator=draw) @ stretch))
        perfect, *others = (torch.randn(512, 64, generator=draw) @ stretch for _ in range(3))
        chosen, _ = greedy(reference, [others[0] + shift, perfect, others[1] - shift], 3)
        assert chosen == [1]


def test_a_mixture_is_judged_by_as_many_samples_as_a_candidate() -> None:
    made = [_features(seed, count=61) for seed in range(3)]
    mixture = mixed(made)
    assert mixture.shape == made[0].shape
    for row in range(61):
        assert torch.equal(mixture[row], made[row % 3][row])


def test_the_error_of_a_fall_is_what_it_varies_by() -> None:
    """Over 60 pairs of samplings, the falls' deviation against the mean of the errors told."""
    data = Reference.of(Moments.of(_features(0, count=4000)))
    falls, errors = [], []
    for seed in range(60):
        before = _features(2 * seed + 1, count=400, scale=1.2)
        after = _features(2 * seed + 2, count=400, scale=1.1)
        falls.append(data.distance(Moments.of(before)) - data.distance(Moments.of(after)))
        errors.append(fall_error(data, before, after))
    assert statistics.fmean(errors) == pytest.approx(statistics.stdev(falls), rel=0.25)


def test_nothing_is_added_that_does_not_help() -> None:
    reference, made = _candidates()
    heaps = torch.cat([_features(1, shift=-3), _features(2, shift=3)])
    chosen, distance = greedy(reference, [made[3][:60], heaps[::2], made[0]], 3)
    assert chosen == [1]
    assert distance == mixture_distance(reference, [heaps[::2]])


def test_a_sample_is_made_by_a_member_that_its_own_z_chooses() -> None:
    z = torch.randn(6000, 16, generator=torch.Generator().manual_seed(0))
    makers = shares(z, 3)
    counts = torch.bincount(makers, minlength=3)
    assert ((counts - 2000).abs() < 120).all()
    assert torch.equal(shares(z[100:200], 3), makers[100:200])

    class Constant(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, z: Tensor, labels: Any, condition: Any) -> Tensor:
            return torch.full((len(z), 1, 2, 2), self.value)

    images = Mixture([Constant(0.0), Constant(1.0), Constant(2.0)])(z)
    assert torch.equal(images[:, 0, 0, 0].long(), makers)


def _trained(folder: Path, *, steps: int = 6, **tricks: Any) -> tuple[Training, GeneratorEnsemble]:
    config = small_config(tricks=tricks, optimizer={"generator": {"lr": 0.02}}, steps=steps)
    training = Training(config, folder)
    while not training.finished:
        training.advance()
    return training, trick_of(training.game, "generator_ensemble")


def test_the_mixture_is_sampled_scored_saved_and_traced(tmp_path: Path) -> None:
    training, ensemble = _trained(tmp_path, generator_ensemble={"candidates": 6})
    assert len(ensemble.generators) == 6
    assert len(ensemble.chosen) > 1
    singles = [mixture_distance(ensemble.reference, [found]) for found in ensemble.features]
    assert ensemble.distance < min(singles)
    last = training.history[-1]
    assert last.protocol["weights"] == "ensemble"
    assert last.metrics["generator_ensemble/members"] == len(ensemble.chosen)

    best = min(training.history, key=lambda e: e.metrics["fid"])
    if best is not last:  # the file holds the best mixture, so make it the present one
        training.folder.joinpath("generator.safetensors").unlink()
        training.history.clear()
        training.evaluate()
    z = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
    mixture = training.game.sampling_network()
    loaded = load_generator(tmp_path)
    with torch.no_grad():
        made = mixture(z)
        members = [ensemble.generators[index](z) for index in ensemble.chosen]
        for row, maker in enumerate(shares(z, len(members)).tolist()):
            assert torch.equal(made[row], members[maker][row])
        assert torch.equal(loaded(z), made)
        assert torch.allclose(torch.export.export(loaded, (z,)).module()(z), made, atol=1e-6)


def test_members_are_averaged_weights_where_weights_are_averaged(tmp_path: Path) -> None:
    training, ensemble = _trained(
        tmp_path, generator_ensemble={"candidates": 2}, ema={"decay": 0.9, "warm_up": False}
    )
    averaged = trick_of(training.game, "ema").averaged.state_dict()
    newest = ensemble.generators[-1].state_dict()
    assert all(torch.equal(newest[name], averaged[name]) for name in newest)
    raw = training.game.generator.state_dict()
    assert any(not torch.equal(newest[name], raw[name]) for name in newest)


def test_with_restart_every_candidate_comes_from_weights_and_optimisers_of_its_own(
    tmp_path: Path,
) -> None:
    tricks = {"generator_ensemble": {"candidates": 2, "restart": True}}
    training = Training(small_config(tricks=tricks), tmp_path)
    game = training.game
    first = {k: v.clone() for k, v in game.generator.state_dict().items()}
    training.run_to(2)
    assert game.optimizers["generator"].state
    training.run_to(3)
    restarted = {k: v.clone() for k, v in game.generator.state_dict().items()}
    assert not game.optimizers["generator"].state
    assert not game.optimizers["discriminator"].state
    assert any(not torch.equal(first[k], restarted[k]) for k in first)
    norms = [v for k, v in restarted.items() if k.endswith("running_mean")]
    assert all(not v.any() for v in norms)  # nobody has run it yet
    training.run_to(6)
    ensemble = trick_of(game, "generator_ensemble")
    assert len(ensemble.generators) == 2
    assert game.optimizers["generator"].state  # nothing begins after the last step


def test_a_trick_that_remembers_cannot_be_restarted() -> None:
    tricks = {"generator_ensemble": {"restart": True}, "ema": True}
    problems = problems_of({"data": "digits", "tricks": tricks})
    assert [problem.path for problem in problems] == ["tricks.generator_ensemble.restart"]


def test_candidates_are_looked_at_with_all_bits_in_steps_that_have_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Training(small_config(tricks={"generator_ensemble": {"samples": 16}}), tmp_path).game
    trick = trick_of(game, "generator_ensemble")
    rounds: list[bool] = []

    def noted(*_: Any) -> None:
        rounds.append(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)

    look = trick.extractor
    monkeypatch.setattr(trick, "extractor", lambda images: (noted(), look(images))[1])
    game.generator.register_forward_hook(noted)
    with multiplied(tf32=True):
        trick._sampled(game, game.generator)
    assert rounds == [False, False]
