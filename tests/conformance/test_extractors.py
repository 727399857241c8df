"""How every extractor is chosen; what its features are like is in `sweeper.testing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from torch import Tensor

from sweeper.sweepfile.schema import sweep_schema
from sweeper.testing.small import SMALL
from trials.config import load_config, problems_of
from trials.metrics.config import EvaluationConfig
from trials.metrics.documentation import page
from trials.metrics.extractor import Extractor, Features, check_extractor, decided
from trials.part import knob, temporary_parts
from trials.trainer import train

EXTRACTORS = Extractor.all()
every_extractor = pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS.keys())


def example(extractor: type[Extractor], folder: Path) -> dict[str, Any]:
    """Its own example, or its bare name where that needs large weights."""
    return extractor.example(folder) or {"name": extractor.key}


def chosen(extractor: Any) -> Extractor.Config:
    config: Extractor.Config = EvaluationConfig.model_validate({"extractor": extractor}).extractor
    return config


@every_extractor
def test_it_is_read_written_and_named_when_misspelt(
    extractor: type[Extractor], tmp_path: Path
) -> None:
    given = example(extractor, tmp_path)
    config = EvaluationConfig.model_validate({"extractor": given})
    written = config.model_dump(mode="json")
    assert written["extractor"].items() >= given.items()
    assert EvaluationConfig.model_validate(written) == config
    jsonschema.validate({"extractor": given}, EvaluationConfig.model_json_schema())
    (problem,) = problems_of({**SMALL, "evaluation": {"extractor": f"{extractor.key}s"}})
    assert (problem.path, problem.nearest) == ("evaluation.extractor", extractor.key)


@every_extractor
def test_data_that_it_cannot_look_at_are_refused_before_anything_starts(
    extractor: type[Extractor], tmp_path: Path
) -> None:
    config = chosen(example(extractor, tmp_path))
    for kind in {"image", "point"} - extractor.takes:
        if decided(config, "some", kind) is config:
            (problem,) = check_extractor(config, "some", kind)
            assert problem.path == "evaluation.extractor.name"
            assert f"the data are {kind}s" in problem.message


def test_an_extractor_needs_one_class_and_nothing_else(tmp_path: Path) -> None:
    with temporary_parts():

        class RowMeans(Extractor):
            """Defined here, and known everywhere."""

            key = "test_only_rows"
            summary = "the mean of each row of pixels"
            classes = 0
            resize = "none"
            fingerprint = "test_only_rows"

            class Config(Extractor.Config):
                scale: float = knob(1.0, "factor of the features", gt=0)

            def __init__(self, config: Any, rows: int) -> None:
                self.config = config
                self.dim = rows

            @classmethod
            def build(cls, config: Any, shape: tuple[int, ...], device: Any = None) -> RowMeans:
                return cls(config, shape[1])

            def __call__(self, images: Tensor) -> Features:
                images = images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images
                return Features(images.detach().mean(dim=(1, 3)) * self.config.scale, None)

        evaluation = {**SMALL["evaluation"], "extractor": {"name": "test_only_rows", "scale": 2}}
        config = load_config({**SMALL, "evaluation": evaluation})
        written = config.as_dict()["evaluation"]["extractor"]
        assert written == {"name": "test_only_rows", "scale": 2.0}
        result = train(config, folder=tmp_path)
        assert result.history[-1].protocol["extractor"] == "test_only_rows"
        assert result.history[-1].metrics["fid"] >= 0
        ring = {**SMALL, "data": {"name": "ring"}, "evaluation": evaluation}
        assert "looks at images" in next(p.message for p in problems_of(ring))
        (problem,) = problems_of({**SMALL, "evaluation": {"extractor": "test_only_row"}})
        assert problem.nearest == "test_only_rows"
        assert "| `test_only_rows` | the mean of each row of pixels | images |" in page()
        assert "test_only_rows" in str(sweep_schema()["$defs"]["EvaluationConfig"])
