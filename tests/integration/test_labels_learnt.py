"""Labels and codes are truly learnt: classes come out as asked for, codes can be read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.testing.small import SMALL
from trials.config import load_config
from trials.metrics.extractors.digits import DigitsExtractor
from trials.presets import merge
from trials.state.streams import stream
from trials.trainer import Training

CHANGES: dict[str, Any] = {
    "networks": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "latent": {"dim": 32},
    "batch_size": 64,
    "steps": 600,
    "evaluation": {"every": 100, "samples": 256},
    "tricks": {"spectral_norm": True},
}


def _training(folder: Path, **changes: Any) -> Training:
    return Training(load_config(merge(merge(SMALL, CHANGES), changes)), folder)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["acgan", "projection"])
def test_samples_of_a_class_are_classified_as_that_class(method: str, tmp_path: Path) -> None:
    training = _training(tmp_path, conditioning=method)
    training.run_to(600)
    labels = torch.arange(10).repeat_interleave(40)
    z, _ = training.game.noise(len(labels), stream("cpu", 1, "test"))
    game = training.game
    with game.as_sampled(game.sampling_network()) as network:
        images = game.sampled(network, z, labels, stream("cpu", 1, "test"))
    logits = DigitsExtractor()(images).logits
    assert logits is not None
    accuracy = float((logits.argmax(1) == labels).float().mean())
    assert accuracy > 0.6, f"{accuracy:.2f} of the samples; chance is 0.1"


@pytest.mark.slow
def test_mutual_information_between_codes_and_images_rises(tmp_path: Path) -> None:
    training = _training(tmp_path, conditioning="infogan")
    bounds = [training.advance().metrics["infogan/mutual_information"] for _ in range(6)]
    assert bounds[-1] > bounds[0]
    # log 10 = 2.30 nats would be every code read without fail.
    assert bounds[-1] > 1.8, f"{bounds} nats"
