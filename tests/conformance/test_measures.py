"""How measures are read, named and kept in protocols; `test_promises` has the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sweeper.sweepfile.schema import sweep_schema
from sweeper.testing.measure import measured
from sweeper.testing.small import SMALL
from sweeper.wording import measure as called
from trials.config import load_config, problems_of
from trials.metrics.config import EvaluationConfig
from trials.metrics.documentation import page
from trials.metrics.measure import Measure
from trials.metrics.one_pass import SETTINGS, Pass
from trials.origins import origin_of
from trials.part import PartConfig, knob, temporary_parts
from trials.trainer import train

MEASURES = Measure.all()
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES.keys())


@every_measure
def test_it_names_a_paper_and_its_values_are_called_after_it(measure: type[Measure]) -> None:
    assert "arXiv:" in measure.paper
    assert called(f"{measure.key}/3") == f"{measure.title()}, 3"


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
        # Of one that is not ours only its own `compute` knows whether it has parts.
        assert not problems_of({**SMALL, "evaluation": {"keep_by": "test_only_contrast/left"}})
        assert called("test_only_contrast") == "Contrast"
        assert "| `test_only_contrast.power` | `1.0` | exponent of the distance |" in page()
        assert "test_only_contrast" in str(sweep_schema()["$defs"]["Objective"])
    assert called("test_only_contrast") == "test only contrast"
