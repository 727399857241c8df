"""The extractor in half the bits: near the same values, and never compared with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.test_metrics_evaluator import digits, redrawn
from trials.config import problems_of
from trials.metrics.config import EvaluationConfig
from trials.metrics.evaluator import Evaluator, Measured
from trials.metrics.one_pass import SETTINGS
from trials.metrics.progress import SECONDS, Throttled
from trials.metrics.protocol import alike, differing

STATED = 0.01
"""How far a FID on digits is from that in float32 at most, as docs/measures.md says."""


def seen_in(folder: Path, noise: float, **precision: object) -> Measured:
    """Real digits, disturbed, looked at in this precision."""
    data, chance = digits(), torch.Generator().manual_seed(0)
    sample = redrawn(data)
    config = EvaluationConfig.model_validate(
        {"samples": 500, "metrics": ["fid", "precision"], "extractor_precision": precision}
    )
    evaluator = Evaluator(config, data, cache=folder)
    return evaluator.measure(
        lambda count, labels: (
            (images := sample(count, labels)) + noise * torch.randn(images.shape, generator=chance)
        ),
        weights="raw",
        seed=0,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the statistics of the digits are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_half_the_bits_change_a_fid_on_digits_by_less_than_is_stated(
    noise: float, cache: Path
) -> None:
    exact = seen_in(cache, noise)
    half = seen_in(cache, noise, dtype="bfloat16", channels_last=True)
    assert half.features.dtype == torch.float32
    assert half.values["fid"] != exact.values["fid"]
    assert half.values["fid"] == pytest.approx(exact.values["fid"], rel=STATED)


def test_values_in_half_the_bits_are_of_another_protocol_and_another_cache(cache: Path) -> None:
    exact = seen_in(cache, 0.2).protocol.as_dict()
    half = seen_in(cache, 0.2, dtype="bfloat16", channels_last=True).protocol.as_dict()
    assert not alike(exact, half)
    assert differing(exact, half) == {
        "settings": (SETTINGS, f"{SETTINGS}; extractor in bfloat16, channels last")
    }
    assert len(list(cache.glob("moments-*.npz"))) == 2


def test_points_are_not_looked_at() -> None:
    precision = {"extractor_precision": {"dtype": "bfloat16"}}
    (problem,) = problems_of({"data": "ring", "evaluation": precision})
    assert problem.path == "evaluation.extractor_precision"


def test_more_real_images_are_another_protocol() -> None:
    config = EvaluationConfig.model_validate({"real_samples": 50_000, "metrics": ["recall"]})
    told = Evaluator(config, digits()).protocol("raw", 500).settings
    assert told == f"{SETTINGS}; pairs with 50000 real images at most"


def test_a_long_measurement_tells_a_line_every_ten_seconds_and_a_short_one_none() -> None:
    now, lines = [0.0], []
    progress = Throttled(lines.append, clock=lambda: now[0])
    for tenth in range(1, 26):
        now[0] = tenth / 10 * SECONDS
        progress(f"at {now[0]:g}")
    assert lines == ["at 10", "at 20"]
    progress.begin()
    progress("another")
    assert lines == ["at 10", "at 20"]


def test_how_far_images_and_pairs_are_is_told() -> None:
    told: list[str] = []
    config = EvaluationConfig.model_validate(
        {"samples": 300, "metrics": ["fid", "recall"], "real_samples": 1000}
    )
    data = digits()
    Evaluator(config, data, tell=told.append).measure(redrawn(data), weights="raw", seed=0)
    count = f"{len(data.images):,}"
    assert f"the statistics of the data: {count} of {count} images" in told
    assert told[-5:] == [
        "256 of 300 images",
        "300 of 300 images",
        "pairs of 1,000 real images: 100%",
        "pairs of 300 generated images: 100%",
        "pairs of 300 generated and 1,000 real images: 100%",
    ]
