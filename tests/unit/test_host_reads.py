"""A step leaves everything on the device; the host asks between steps, or once an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.testing.host_reads import HostReads
from sweeper.testing.small import (
    differ,
    loop_of,
    small_config,
    tensors_of,
    trick_of,
    with_trick,
)
from trials import catalogue
from trials.data.supply import Streamed
from trials.optimization import Optimizer
from trials.trainer import Training

DECIDES_ON_THE_HOST = {
    "adaptive_augment": "p decides what is drawn at all, and follows the scores",
    "generator_ensemble": "a candidate is measured, and chosen or not",
}
"""Tricks that read in a step now and then, and why."""


def reads(mapping: Any) -> list[str]:
    """What three rounds read, each looked at by the probe."""
    loop = loop_of(mapping)
    with HostReads() as noted:
        for _ in range(3):
            loop.discriminator_step(probing=True)
            loop.generator_step(probing=True)
            loop.game.step += 1
    return noted.places


@pytest.mark.parametrize("trick", catalogue.tricks().values(), ids=catalogue.tricks().keys())
def test_a_step_reads_nothing_on_the_host(trick: Any) -> None:
    places = reads(with_trick(trick))
    assert bool(places) == (trick.key in DECIDES_ON_THE_HOST), places


@pytest.mark.parametrize("name", [key for key in Optimizer.all() if key != "adam"])
def test_no_optimiser_reads_on_the_host(name: str) -> None:
    players = {player: {"name": name} for player in ("generator", "discriminator")}
    config = small_config(optimizer=players, conditioning="projection", accumulate=2)
    assert reads(config.as_dict()) == []


def test_a_read_is_noted_with_its_place() -> None:
    number = torch.ones(())
    with HostReads() as noted:
        float(number)
        number.tolist()
        torch.as_tensor(number)
    assert [place.partition(" ")[2] for place in noted.places] == [
        "reads a number",
        "copies a tensor to the host",
    ]
    assert all(place.startswith(__file__) for place in noted.places)


def test_a_number_that_is_not_finite_is_known_one_look_later_and_at_an_evaluation(
    tmp_path: Path,
) -> None:
    training = Training(small_config(steps=40, evaluation={"every": 40}), tmp_path)
    training.run_to(5)
    with torch.no_grad():
        next(training.game.generator.parameters()).fill_(torch.nan)
    training.run_to(40)
    assert training.step == 20  # the probe looks at steps 10 and 20
    other = Training(small_config(steps=40, evaluation={"every": 40}), tmp_path / "other")
    with torch.no_grad():
        next(other.game.generator.parameters()).fill_(torch.nan)
    other.run_to(10)
    assert not other.loop.probe.healthy


def test_data_that_stay_on_the_host_train_to_the_same_bits(tmp_path: Path) -> None:
    config = small_config(conditioning="projection", data={"name": "digits"})
    held, streamed = (Training(config, tmp_path / name) for name in ("held", "streamed"))
    streamed.game._supply = Streamed(streamed.dataset, streamed.game.device)
    for training in (held, streamed):
        training.run_to(3)
        training.save()
        training.restore()
        training.run_to(6)
    assert not differ(tensors_of(held), tensors_of(streamed))


def test_what_version_0_1_remembers_of_a_balance_and_of_an_augmentation_goes_on(
    tmp_path: Path,
) -> None:
    tricks = {"dynamic_balance": {"every": 1}, "adaptive_augment": {"interval": 64}}
    training = Training(small_config(tricks=tricks), tmp_path)
    training.run_to(2)
    balance, augment = (trick_of(training.game, key) for key in tricks)
    for trick, name in ((balance, "averages"), (augment, "signs")):
        state = trick.state()
        now = state[name]
        plain = (
            {k: float(v) for k, v in now.items()} if isinstance(now, dict) else [*map(float, now)]
        )
        assert plain
        trick.load_state({**state, name: plain})
        again = trick.state()[name]
        pairs = [
            (now[key], again[key]) for key in (now if isinstance(now, dict) else range(len(now)))
        ]
        assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)
