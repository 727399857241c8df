"""What tricks remember: once a step in however many parts, and nothing beyond a restart."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from sweeper.testing.small import SMALL, trained, trick_of, with_trick
from trials import catalogue
from trials.config import load_config, problems_of, warnings_of
from trials.game import Round
from trials.presets import merge
from trials.toolkit.weights import weight_matrices
from trials.trainer import Training
from trials.trick import Trick
from trials.tricks.generator_ensemble import REMEMBERING

RULE = {"name": "sgd", "lr": 0.05}
NETWORK = {"width": 4, "norm": "none"}
PLAIN = merge(
    SMALL,
    {
        "networks": {"generator": NETWORK, "discriminator": NETWORK},
        "optimizer": {"generator": RULE, "discriminator": RULE},
    },
)


def _flat(value: Any) -> list[float]:
    if isinstance(value, Tensor):
        return [float(number) for number in value.flatten()]
    if isinstance(value, dict):
        return [number for name in sorted(value) for number in _flat(value[name])]
    if isinstance(value, list | tuple):
        return [number for part in value for number in _flat(part)]
    return [] if value is None else [float(value)]


@pytest.mark.parametrize(
    "change",
    [
        {"loss": {"name": "began", "rate": 0.05}},
        {"tricks": {"lecam": {"weight": 1.0, "decay": 0.5}}},
        {"tricks": {"dynamic_balance": {"every": 1, "momentum": 0.5}}},
        {"tricks": {"dynamic_balance": {"every": 1, "by": "loss", "band": 1.1}}},
        {"tricks": {"adaptive_augment": {"interval": 5}}, "seed": 3},  # whose signs are mixed
    ],
    ids=["began", "lecam", "balance", "balance-by-loss", "augment"],
)
def test_memory_is_the_same_in_however_many_parts_a_batch_is_computed(
    change: dict[str, Any], tmp_path: Path
) -> None:
    # The augmentation's signs before p first changes: what it then draws differs with the parts.
    key = "began" if "loss" in change else next(iter(change["tricks"]))
    found = []
    for parts in (1, 2, 4):
        mapping = merge(PLAIN, {**change, "accumulate": parts})
        trick = trick_of(trained(mapping, tmp_path / str(parts), 4).game, key)
        found.append(_flat(cast("Trick", trick).state()))
    assert any(found[0])
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4, abs=1e-6)


def _remembering() -> list[str]:
    restart = {"tricks": {"generator_ensemble": {"restart": True}}}
    keys = []
    for key, trick in catalogue.tricks().items():
        left_out = (*REMEMBERING, "generator_ensemble")
        if trick.state is not Trick.state and key not in left_out:
            load_config(merge(with_trick(trick), restart))  # none of them is refused
            keys.append(key)
    return keys


@pytest.mark.parametrize("key", _remembering())
def test_a_restart_forgets_what_a_trick_remembers(key: str, tmp_path: Path) -> None:
    ensemble = {"generator_ensemble": {"restart": True, "candidates": 3, "samples": 16}}
    mapping = merge(with_trick(catalogue.tricks()[key]), {"tricks": ensemble, "steps": 6})
    training = Training(load_config(mapping), tmp_path)
    trick = trick_of(training.game, key)
    begun = copy.deepcopy(trick.state())
    training.run_to(1)
    assert _flat(trick.state()) != _flat(begun)
    training.game.begin_anew(1, keep="generator_ensemble")
    if key == "spectral_regularisation":  # its vectors are those of the new weights
        matrices = list(weight_matrices(training.game.discriminator))
        for matrix, v in zip(matrices, trick.state()["vectors"], strict=True):
            largest = torch.linalg.matrix_norm(matrix.detach(), 2)
            assert float((matrix.detach() @ v).norm() / v.norm() / largest) > 0.8
    else:
        assert _flat(trick.state()) == _flat(begun)
    training.run_to(3)  # one more restart, between the hooks of a step


def _table(training: Training) -> Round:
    game = training.game
    real, labels = game.real_batch()
    z, fake_labels = game.noise(len(real), game.streams.noise)
    condition = game.condition(real, game.streams.augmentation)
    with torch.no_grad():
        fake = game.generate(z, fake_labels, condition)
    return Round("discriminator", real, labels, z, fake_labels, fake, condition)


def test_an_old_image_is_not_compared_with_what_its_z_gives_today() -> None:
    tricks = {"experience_replay": True, "latent_consistency": True}
    (problem,) = problems_of(merge(SMALL, {"tricks": tricks}))
    assert "an earlier generator made its images" in problem.message


@pytest.mark.parametrize("change", [{"conditioning": "infogan"}, {"task": "inpaint"}])
def test_a_replayed_image_brings_what_it_was_made_from(
    change: dict[str, Any], tmp_path: Path
) -> None:
    training = trained(merge(SMALL, {**change, "tricks": {"experience_replay": True}}), tmp_path, 0)
    replay = trick_of(training.game, "experience_replay")
    first, second = _table(training), _table(training)
    replay.dealt(training.game, first)
    replay.dealt(training.game, second)
    for index in range(4, 8):  # the last half of the batch is old
        source = next(i for i in range(8) if torch.equal(first.fake[i], second.fake[index]))
        assert torch.equal(first.z[source], second.z[index])
        if first.condition is not None and second.condition is not None:
            assert torch.equal(first.condition[source], second.condition[index])


def test_the_buffer_never_holds_more_than_its_size(tmp_path: Path) -> None:
    replay = {"experience_replay": {"size": 5, "renew": 1.0}}
    training = trained(merge(SMALL, {"tricks": replay}), tmp_path, 0)
    trick = trick_of(training.game, "experience_replay")
    for _ in range(3):
        trick.dealt(training.game, _table(training))
        assert {len(kept) for kept in trick.memory.values()} == {5}


def test_targets_above_one_are_warned_of_where_the_loss_has_no_bound() -> None:
    def warned(loss: str, high: float) -> bool:
        knobs = {"kind": "uniform", "low": 0.8, "high": high}
        given = load_config(merge(SMALL, {"loss": loss, "tricks": {"label_smoothing": knobs}}))
        return any("no lower bound" in warning for warning in warnings_of(given))

    assert warned("non_saturating", 1.1)
    assert not warned("non_saturating", 1.0)
    assert not warned("lsgan", 1.1)
