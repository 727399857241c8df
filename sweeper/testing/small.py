"""The smallest trainings that still exercise everything: 8×8 digits, a few channels, few steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trials import catalogue
from trials.config import TrialConfig, load_config
from trials.data import open_data
from trials.engine.composed_game import ComposedGame
from trials.engine.loop import Loop
from trials.presets import merge
from trials.state.streams import stream
from trials.trainer import Training
from trials.trick import Trick

SMALL: dict[str, Any] = {
    "data": {"name": "digits"},
    "networks": {"generator": {"width": 4}, "discriminator": {"width": 4}},
    "latent": {"dim": 8},
    "batch_size": 8,
    "steps": 6,
    "evaluation": {"every": 3, "samples": 16, "metrics": ["fid"], "grid": 4},
    "device": "cpu",
}


def with_trick(
    trick: type[Trick], knobs: Mapping[str, Any] | None = None, *, example: bool = True
) -> dict[str, Any]:
    """A small trial mapping with one trick on, in surroundings where it makes sense, or in none."""
    mapping = merge(SMALL, trick.example) if example else SMALL
    path, knobs = catalogue.path_of(trick.key), dict(knobs or {})
    if path in catalogue.SELECTORS:
        return merge(mapping, {path: {"name": trick.key, **knobs}})
    return merge(mapping, {"tricks": {trick.key: knobs}})


def loop_of(mapping: Mapping[str, Any]) -> Loop:
    """The loop of a mapping's training, with nothing that measures it."""
    config = load_config(mapping)
    data, device = open_data(config.data), torch.device("cpu")
    return Loop(config, ComposedGame(config, config.build_tricks(), data, device))


def small_config(**changes: Any) -> TrialConfig:
    """The small trial with changes."""
    return load_config(merge(SMALL, changes))


def tensors_of(training: Training | Loop) -> dict[str, torch.Tensor]:
    """Everything a knob may change: both networks' weights, and samples as they are drawn."""
    game = training.game
    tensors = {f"g.{k}": v.clone() for k, v in game.generator.state_dict().items()}
    tensors |= {f"d.{k}": v.clone() for k, v in game.discriminator.state_dict().items()}
    z, labels = game.noise(8, stream("cpu", 7, "test"))
    with game.as_sampled(game.sampling_network()) as network:
        tensors["samples"] = game.sampled(network, z, labels, stream("cpu", 7, "test"))
    return tensors


def trick_of(game: ComposedGame, key: str) -> Any:
    """The trick of a game that is called `key`; Any, as a test knows which class it is."""
    return next(trick for trick in game.hooks.tricks if trick.key == key)


def losses_of(training: Training | Loop) -> dict[str, float]:
    """The mean loss terms of both players since they were asked for last."""
    loop = training.loop if isinstance(training, Training) else training
    means = loop.probe.take()
    return {name: value for name, value in means.items() if name.startswith("loss/")}


def differ(first: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether any tensor is there in only one, or is not bitwise the same in both."""
    return first.keys() != other.keys() or any(
        first[k].shape != other[k].shape or not torch.equal(first[k], other[k]) for k in first
    )


def comparable(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics without those that depend on the machine."""
    return {k: v for k, v in metrics.items() if not k.startswith("system/")}


def trained(mapping: Mapping[str, Any], folder: Path, steps: int) -> Training:
    """A training of a mapping after some steps."""
    training = Training(load_config(mapping), folder)
    training.run_to(steps)
    return training
