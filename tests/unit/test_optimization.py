"""Optimisers and decays by name, and what older records say of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from trials.config import load_config, problems_of
from trials.optimization import Decay, Optimizer, OptimizersConfig

WRITTEN_BY_0_1 = {
    "lr": 0.003,
    "beta1": 0.5,
    "beta2": 0.999,
    "alpha": 0.99,
    "momentum": 0.0,
    "eps": 1e-08,
    "weight_decay": 0.0,
    "decay": "none",
    "decay_to": 0.0,
}


@pytest.mark.parametrize("name", Optimizer.all())
def test_every_optimizer_steps_and_its_settings_read_back(name: str) -> None:
    config = OptimizersConfig.model_validate({"generator": {"name": name, "lr": 0.1}})
    assert OptimizersConfig.model_validate(config.model_dump(mode="json")) == config
    weight = nn.Parameter(torch.ones(3))
    optimizer = config.generator.part(config.generator).build([weight])
    weight.square().sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert (weight < 1).all()
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("name", Optimizer.all())
def test_a_record_that_names_every_knob_of_every_optimizer_is_read(name: str) -> None:
    old = OptimizersConfig.model_validate({"generator": {"name": name, **WRITTEN_BY_0_1}})
    assert old == OptimizersConfig.model_validate({"generator": {"name": name, "lr": 0.003}})


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"name": "sgd", "beta1": 0.9}, "optimizer.generator.beta1"),
        ({"momentum": 0.9}, "optimizer.generator.momentum"),
    ],
)
def test_a_knob_that_does_nothing_is_refused(settings: dict[str, Any], path: str) -> None:
    (problem,) = problems_of({"data": "digits", "optimizer": {"generator": settings}})
    assert problem.path == path


def test_adam_is_the_optimizer_that_nobody_has_to_name() -> None:
    config = load_config({"data": "digits", "optimizer": {"generator": {"lr": 0.1}}})
    assert config.optimizer.generator.name == config.optimizer.discriminator.name == "adam"


@pytest.mark.parametrize("name", Decay.all())
@pytest.mark.parametrize("floor", [0.1, 0.5, 1.0])
def test_every_decay_falls_from_one_to_its_floor(name: str, floor: float) -> None:
    decay = Decay.named(name)
    factors = [decay.factor(step / 10, floor) for step in range(11)]
    assert factors[0] == pytest.approx(1)
    assert factors[-1] == pytest.approx(1 if name == "none" else floor)
    assert factors == sorted(factors, reverse=True)
