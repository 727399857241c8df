"""Extractors on data that they were not made for: what is measured by itself, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from sweeper.cli.main import run
from sweeper.sweepfile.load import parse_sweep
from sweeper.testing.small import SMALL, small_config
from trials.config import load_config, warnings_of
from trials.data import open_data
from trials.metrics.extractors.digits import DigitsExtractor
from trials.metrics.familiarity import IN_THE_PROTOCOL, is_far, strange_share, warnings_of_data
from trials.trainer import Training

CLASS_MEASURES = {"inception_score", "class_coverage", "class_kl"}
DIGITS: dict[str, Any] = {"evaluation": {"extractor": "digits", "metrics": "auto"}}


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """300 letters of 32×32 pixels, in three classes."""
    file = tmp_path_factory.mktemp("letters") / "letters.npz"
    draw, font = np.random.default_rng(0), ImageFont.load_default(24)
    images, labels = [], []
    for number in range(300):
        sheet = Image.new("L", (32, 32))
        place = (int(draw.integers(4, 10)), int(draw.integers(0, 6)))
        ImageDraw.Draw(sheet).text(place, "AKW"[number % 3], fill=255, font=font)
        images.append(np.array(sheet))
        labels.append(number % 3)
    np.savez(file, images=np.stack(images), labels=np.array(labels))
    return {"name": "npz", "path": str(file)}


def measured(folder: Path, **changes: Any) -> tuple[set[str], str]:
    evaluation = Training(small_config(**changes), folder).evaluate()
    return set(evaluation.metrics), evaluation.protocol["settings"]


def test_measures_over_classes_are_taken_by_themselves_only_of_data_with_these_classes(
    letters: dict[str, Any], tmp_path: Path
) -> None:
    found, settings = measured(tmp_path / "digits", **DIGITS)
    assert found >= CLASS_MEASURES | {"fid"}
    assert IN_THE_PROTOCOL not in settings

    found, settings = measured(tmp_path / "letters", data=letters, **DIGITS)
    assert not found & CLASS_MEASURES
    assert found >= {"fid", "kid"}
    assert settings.endswith(IN_THE_PROTOCOL)


def test_whoever_asks_for_one_by_name_is_given_it_with_a_warning(
    letters: dict[str, Any], tmp_path: Path
) -> None:
    asked = {"evaluation": {"extractor": "digits", "metrics": ["fid", "inception_score"]}}
    assert "inception_score" in measured(tmp_path / "asked", data=letters, **asked)[0]
    (warning,) = warnings_of(small_config(data=letters, **asked))
    assert warning == (
        "evaluation.metrics: inception_score is over the classes of the digits extractor, which "
        "are not those of npz"
    )
    assert not warnings_of(small_config(**asked))
    kept = {"evaluation": {**DIGITS["evaluation"], "keep_by": "inception_score"}}
    assert measured(tmp_path / "kept", data=letters, **kept)[0] & CLASS_MEASURES == {
        "inception_score"
    }


def test_a_sweep_may_have_one_for_its_objective(letters: dict[str, Any]) -> None:
    text = (
        f"name: s\nlimits: {{trials: 2}}\nobjective: {{metric: class_coverage}}\n"
        f"base: {{data: {{name: npz, path: {letters['path']}}}, evaluation: {{extractor: digits}}}}"
    )
    assert parse_sweep(text).base["evaluation"]["keep_by"] == "class_coverage"


def test_strange_images_are_those_beyond_nearly_all_that_were_trained_on() -> None:
    chance = torch.Generator().manual_seed(0)
    stretch = torch.randn(16, 16, generator=chance)
    trained = torch.randn(4000, 16, generator=chance) @ stretch
    same = torch.randn(4000, 16, generator=chance) @ stretch
    assert strange_share(trained, trained) == pytest.approx(0.01, abs=0.001)
    assert strange_share(trained, same) == pytest.approx(0.01, abs=0.006)
    assert not is_far(trained, same)
    assert is_far(trained, same + 10 * stretch[0])
    assert not is_far(trained, torch.cat([same[:9], same[:3] + 1000]))  # 3 of 12 are no proof
    flat = torch.cat([trained, torch.zeros(4000, 4)], dim=1)  # features that are never on
    assert strange_share(flat, flat) == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize(
    ("change", "far"),
    [
        (lambda images: images, False),
        (lambda images: images.repeat_interleave(2, 2).repeat_interleave(2, 3), False),
        (lambda images: images.roll(1, 3), False),
        (lambda images: 255 - images, True),
        (lambda images: torch.zeros_like(images), True),
    ],
    ids=["digits", "enlarged", "moved", "inverted", "black"],
)
def test_the_digits_extractor_knows_digits(change: Any, far: bool) -> None:
    images = open_data(load_config(SMALL).data).images
    extractor = DigitsExtractor()
    trained = extractor.training_features()
    assert trained is not None
    assert is_far(trained, extractor(change(images[:600])).features) is far


def test_validate_warns_once_of_an_extractor_that_is_far_from_its_training_data(
    letters: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(data=letters, **DIGITS)
    assert len(warnings_of_data(config.evaluation, open_data(config.data))) == 1
    file = tmp_path / "sweep.yaml"
    file.write_text(
        f"name: s\nlimits: {{trials: 2}}\nparameters: {{seed: {{values: [1, 2]}}}}\n"
        f"base: {{data: {{name: npz, path: {letters['path']}}}, evaluation: {{extractor: digits}}}}"
    )
    assert run(["validate", str(file), "--home", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("far from those that the digits extractor") == 1
