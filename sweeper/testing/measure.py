"""What every measure promises: finite, the same twice, better for better samples, rightly named."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sweeper.testing.promises import promise, require
from sweeper.testing.small import SMALL
from trials.config import load_config
from trials.data import Dataset, open_data
from trials.evaluation.best_generator import merit
from trials.metrics.config import EvaluationConfig
from trials.metrics.evaluator import Evaluator, Measured
from trials.metrics.measure import Measure
from trials.metrics.needs import REASONS

SAMPLES = 200


def measured(measure: type[Measure], noise: float = 0.3, **knobs: Any) -> Measured:
    """What is measured of 200 real items that are disturbed by `noise`, on small data."""
    data = data_for(measure)
    asked = {"name": measure.key, **knobs}
    config = EvaluationConfig.model_validate({"metrics": [asked], "samples": SAMPLES})
    evaluator = Evaluator(config, data, conditional=True)
    return evaluator.measure(repainted(data, noise), weights="raw", seed=0)


def data_for(measure: type[Measure]) -> Dataset:
    """Small data that meet the measure's needs."""
    points = "image" not in measure.kinds and "modes" in measure.needs
    given = {"name": "ring", "points": 500} if points else {"name": "digits", "holdout": 0.2}
    return open_data(load_config({**SMALL, "data": given}).data)


def repainted(data: Dataset, noise: float) -> Callable[[int, Tensor | None], Tensor]:
    """Real items of the labels that are asked for, disturbed by `noise` standard deviations."""
    chance = torch.Generator().manual_seed(0)

    def sample(count: int, labels: Tensor | None) -> Tensor:
        if labels is None or data.labels is None:
            chosen = torch.randint(len(data.images), (count,), generator=chance)
        else:
            chosen = torch.stack(
                [
                    (data.labels == label).nonzero()[int(index) % 5, 0]
                    for index, label in enumerate(labels)
                ]
            )
        items = data.images[chosen]
        if items.dtype == torch.uint8:
            items = items.float() / 127.5 - 1
        return items + noise * torch.randn(items.shape, generator=chance)

    return sample


@promise("measure")
def says_what_is_better_and_what_it_needs(measure: type[Measure], folder: Path) -> None:
    """A direction, a paper, the kinds of data, and needs that can be met."""
    require(measure.paper, f"{measure.__qualname__} has no `paper`")
    require(measure.better in ("lower", "higher"), f"`better` is {measure.better!r}")
    require(measure.kinds <= {"image", "point"}, f"`kinds` are {set(measure.kinds)}")
    require(measure.needs <= set(REASONS), f"`needs` are {set(measure.needs)}")


@promise("measure")
def gives_finite_values_the_same_twice(measure: type[Measure], folder: Path) -> None:
    """Python floats, named after it; what it draws comes from a seed of its own."""
    values = measured(measure).values
    require(values, "gives no value")
    for name, value in values.items():
        stem, slash, _ = name.partition("/")
        require(stem == measure.key, f"'{name}' is not named after it")
        require(bool(slash) == measure.of_parts, f"'{name}', and `of_parts` is {measure.of_parts}")
        require(type(value) is float and math.isfinite(value), f"{name} is {value!r}")
    require(measured(measure).values == values, "gives other values for the same samples")


@promise("measure")
def has_no_value_of_samples_that_are_not_finite(measure: type[Measure], folder: Path) -> None:
    """NaN, under its own name."""
    values = measured(measure, noise=math.inf).values
    require(set(values) == {measure.key}, f"names {sorted(values)}")
    require(math.isnan(values[measure.key]), f"gives {values[measure.key]}")


@promise("measure")
def is_better_for_better_samples(measure: type[Measure], folder: Path) -> None:
    """Hardly disturbed real items count for more than noise, unless it looks for copies."""
    if "held_out" in measure.needs:
        return
    near, far = (merit(measured(measure, noise).values, measure.key) for noise in (0.01, 2.0))
    require(near is not None and far is not None, "gives nothing that can be ranked")
    assert near is not None
    assert far is not None
    require(near[0] <= far[0], f"is better for noise: {near[0]:.4g} and {far[0]:.4g}")
