"""What every measure must satisfy, whoever wrote it: finite, the same twice, and named rightly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from torch import Tensor

from sweeper.sweepfile.schema import sweep_schema
from sweeper.testing.small import SMALL
from sweeper.wording import measure as called
from trials.config import load_config, problems_of
from trials.data import Dataset, open_data
from trials.evaluation.best_generator import merit
from trials.metrics.config import EvaluationConfig
from trials.metrics.documentation import page
from trials.metrics.evaluator import Evaluator, Measured
from trials.metrics.measure import Measure
from trials.metrics.needs import REASONS
from trials.metrics.one_pass import SETTINGS, Pass
from trials.origins import origin_of
from trials.part import PartConfig, knob, temporary_parts
from trials.trainer import train

MEASURES = Measure.all()
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES.keys())
SAMPLES = 200


def data_for(measure: type[Measure]) -> Dataset:
    """Small data that meet the measure's needs."""
    points = "image" not in measure.kinds and "modes" in measure.needs
    given = {"name": "ring", "points": 500} if points else {"name": "digits", "holdout": 0.2}
    return open_data(load_config({**SMALL, "data": given}).data)


def repainted(data: Dataset, noise: float) -> Callable[[int, Tensor | None], Tensor]:
    """Real items of the labels that are asked for, disturbed by ``noise`` standard deviations."""
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


def measured(measure: type[Measure], noise: float = 0.3, **knobs: Any) -> Measured:
    data = data_for(measure)
    asked = {"name": measure.key, **knobs}
    config = EvaluationConfig.model_validate({"metrics": [asked], "samples": SAMPLES})
    evaluator = Evaluator(config, data, conditional=True)
    return evaluator.measure(repainted(data, noise), weights="raw", seed=0)


@every_measure
def test_it_says_what_it_is_and_where_it_comes_from(measure: type[Measure]) -> None:
    assert measure.summary
    assert "arXiv:" in measure.paper
    assert measure.better in ("lower", "higher")
    assert measure.kinds <= {"image", "point"}
    assert measure.needs <= set(REASONS)
    assert called(f"{measure.key}/3") == f"{measure.title()}, 3"
    for name, field in measure.Config.model_fields.items():
        assert field.description, f"{name} has no meaning"


@every_measure
def test_its_values_are_finite_named_after_it_and_the_same_twice(measure: type[Measure]) -> None:
    values = measured(measure).values
    assert values
    for name, value in values.items():
        assert name.partition("/")[0] == measure.key
        assert type(value) is float
        assert math.isfinite(value)
    assert measured(measure).values == values


@every_measure
def test_samples_that_are_not_finite_have_no_value(measure: type[Measure]) -> None:
    values = measured(measure, noise=math.inf).values
    assert set(values) == {measure.key}
    assert math.isnan(values[measure.key])


@every_measure
def test_it_is_better_for_better_samples(measure: type[Measure]) -> None:
    if "held_out" in measure.needs:
        pytest.skip("it asks for copies of the training data, which these samples are")
    near, far = (merit(measured(measure, noise).values, measure.key) for noise in (0.01, 2.0))
    assert near is not None
    assert far is not None
    assert near[0] <= far[0]


@every_measure
def test_it_is_read_written_and_named_when_misspelt(measure: type[Measure]) -> None:
    given = {"metrics": [measure.key], "keep_by": measure.key}
    config = EvaluationConfig.model_validate(given)
    written = config.model_dump(mode="json")
    assert written["metrics"] == [measure.key]
    assert EvaluationConfig.model_validate(written) == config
    jsonschema.validate(written, EvaluationConfig.model_json_schema())
    wrong = {"metrics": [f"{measure.key}s"], "keep_by": f"{measure.key}s/1"}
    problems = problems_of({**SMALL, "evaluation": wrong})
    assert {problem.path: problem.nearest for problem in problems} == {
        "evaluation.metrics.0": measure.key,
        "evaluation.keep_by": measure.key,
    }


@pytest.mark.parametrize("wrong", ["fid", [["fid"]], [{"fid": True}], [3], {}])
def test_what_is_no_list_of_measures_is_refused(wrong: Any) -> None:
    (problem,) = problems_of({**SMALL, "evaluation": {"metrics": wrong}})
    assert problem.path.startswith("evaluation.metrics")


def test_the_protocol_of_our_own_measures_is_that_of_version_0_1() -> None:
    text = (
        "neighbours k=5; kernel cubic over all pairs; inception score in 10 splits;"
        " modes within 3 deviations"
    )
    assert text == SETTINGS
    assert measured(Measure.named("kid")).protocol.settings == text
    assert list(Measure.all()) == [
        "fid", "kid", "precision", "recall", "density", "coverage", "inception_score",
        "class_coverage", "class_kl", "modes", "high_quality", "reverse_kl", "memorisation",
        "class_fid",
    ]  # fmt: skip


def test_a_measure_needs_one_class_and_nothing_else(tmp_path: Path) -> None:
    with temporary_parts():

        class Contrast(Measure):
            """Defined here, and known everywhere."""

            key = "test_only_contrast"
            summary = "how far features are from their mean"
            better = "higher"
            paper = "none"
            label = "Contrast"

            class Config(PartConfig):
                power: float = knob(1.0, "exponent of the distance", gt=0)

            def compute(self, seen: Pass) -> float:
                spread = (seen.features - seen.features.mean(dim=0)).abs()
                return float(spread.pow(self.config.power).mean())

        asked = ["fid", {"name": "test_only_contrast", "power": 2}]
        evaluation = {**SMALL["evaluation"], "metrics": asked, "keep_by": "test_only_contrast"}
        config = load_config({**SMALL, "evaluation": evaluation})
        written = config.as_dict()["evaluation"]["metrics"]
        assert written == ["fid", {"name": "test_only_contrast", "power": 2.0}]
        assert load_config(config.as_dict()) == config
        result = train(config, folder=tmp_path)
        for seen in result.history:
            assert seen.metrics["test_only_contrast"] > 0
            ours, _, origin = seen.protocol["settings"].rpartition("; ")
            assert ours == f"{SETTINGS}; test_only_contrast power=2.0"
            assert origin == f"test_only_contrast of {origin_of(Contrast)}"
        again = {**evaluation, "metrics": [*asked, {"name": "test_only_contrast", "power": 3}]}
        (problem,) = problems_of({**SMALL, "evaluation": again})
        assert "asked for twice" in problem.message
        (problem,) = problems_of({**SMALL, "evaluation": {"keep_by": "test_only_contrst"}})
        assert problem.nearest == "test_only_contrast"
        assert called("test_only_contrast") == "Contrast"
        assert "| `test_only_contrast.power` | `1.0` | exponent of the distance |" in page()
        assert "test_only_contrast" in str(sweep_schema()["$defs"]["Objective"])
    assert called("test_only_contrast") == "test only contrast"
