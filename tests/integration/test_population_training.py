"""A real GAN goes on from another one's checkpoint, with its own settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trials.config import load_config
from trials.errors import CheckpointError
from trials.evaluation.export import saved_header
from trials.trainer import Training

BASE: dict[str, Any] = {
    "data": "digits",
    "networks": {"generator": {"width": 8}, "discriminator": {"width": 8}},
    "batch_size": 16,
    "steps": 8,
    "evaluation": {"every": 4, "samples": 64},
    "tricks": {"ema": {"decay": 0.9}},
}


def training(folder: Path, **changes: Any) -> Training:
    return Training(load_config({**BASE, **changes}), folder)


def weights(one: Training) -> torch.Tensor:
    parts = [*one.game.generator.parameters(), *one.game.discriminator.parameters()]
    return torch.cat([part.detach().flatten() for part in parts])


def test_a_takeover_has_the_donors_weights_and_its_own_settings(tmp_path):
    donor = training(tmp_path / "donor")
    donor.advance()
    heir = training(
        tmp_path / "heir",
        optimizer={"generator": {"lr": 0.0123}},
        tricks={"ema": {"decay": 0.5}},
    )
    heir.take_over(tmp_path / "donor")
    assert torch.equal(weights(heir), weights(donor))
    assert [one.step for one in heir.history] == [4]
    assert {group["lr"] for group in heir.game.optimizers["generator"].param_groups} == {0.0123}
    assert (
        heir.game.optimizers["discriminator"].param_groups[0]["lr"]
        == donor.game.optimizers["discriminator"].param_groups[0]["lr"]
    )
    saved = training(tmp_path / "heir", **json_changes(tmp_path / "heir"))
    assert saved.restore()
    assert torch.equal(weights(saved), weights(heir))
    heir.advance()
    donor.advance()
    assert heir.finished
    assert not torch.equal(weights(heir), weights(donor))


def json_changes(folder: Path) -> dict[str, Any]:
    """The heir's config as it wrote it down."""
    config = json.loads((folder / "config.json").read_text())
    return {"optimizer": config["optimizer"], "tricks": config["tricks"]}


def test_networks_of_another_shape_are_not_taken_over(tmp_path):
    training(tmp_path / "donor").advance()
    heir = training(tmp_path / "heir", networks={"generator": {"width": 16}})
    with pytest.raises(CheckpointError, match="does not fit"):
        heir.take_over(tmp_path / "donor")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        heir.take_over(tmp_path / "nobody")


def test_a_takeover_keeps_the_best_generator_of_the_history_it_goes_on_from(tmp_path):
    donor, heir = (training(tmp_path / name) for name in ("donor", "heir"))
    donor.advance()
    best = saved_header(tmp_path / "donor")
    heir.advance()
    changed = training(tmp_path / "heir", optimizer={"generator": {"lr": 0.0123}})
    changed.take_over(tmp_path / "donor")
    assert saved_header(tmp_path / "heir") == best
    assert best["fid"] == changed.history[0].metrics["fid"]
    (tmp_path / "donor" / "generator.safetensors").unlink()
    changed.take_over(tmp_path / "donor")
    assert not (tmp_path / "heir" / "generator.safetensors").exists()


def test_a_symptom_of_the_donor_does_not_stop_who_takes_over(tmp_path):
    stop = {"stop_on": ["divergence"], "divergence": {"score": 1e-9, "persistence": 1}}
    donor = training(tmp_path / "donor", health=stop)
    donor.advance()
    assert donor.stopped_by is not None
    heir = training(tmp_path / "heir", health={"stop_on": ["divergence"]})
    heir.take_over(tmp_path / "donor")
    assert not heir.finished
    again = training(tmp_path / "heir", health={"stop_on": ["divergence"]})
    assert again.restore()
    assert not again.finished
