"""Measuring against the test split, and small images padded to a size that networks have."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweeper.testing.small import SMALL
from trials.config import load_config, problems_of
from trials.data import open_data, reference_of
from trials.data.resize import padded
from trials.metrics.protocol import alike
from trials.presets import merge
from trials.trainer import Training


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder like MNIST's: 48 training and 24 test images of 28×28, each its own grey."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for split, count, level in (("train", 48, 90), ("t10k", 24, 200)):
        noise = np.random.default_rng(count).integers(0, 40, (count, 28, 28))
        images = (level + noise).astype(np.uint8)
        head = bytes((0, 0, 8, 3)) + struct.pack(">3I", count, 28, 28)
        file = folder / f"{split}-images-idx3-ubyte.gz"
        file.write_bytes(gzip.compress(head + images.tobytes()))
        labels = (np.arange(count) % 10).astype(np.uint8)
        head = bytes((0, 0, 8, 1)) + struct.pack(">I", count)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    return folder


def mapping(mnist: Path, reference: str) -> dict[str, Any]:
    data = {"name": "idx", "path": str(mnist), "size": 32, "fit": "pad"}
    evaluation = {"reference": reference, "extractor": "digits"}
    return merge(SMALL, {"data": data, "evaluation": evaluation})


def test_padding_puts_black_around_and_changes_no_pixel(mnist: Path) -> None:
    dataset = open_data(load_config(mapping(mnist, "train")).data)
    assert dataset.images.shape == (48, 1, 32, 32)
    assert int(dataset.images[:, :, 2:-2, 2:-2].min()) >= 90
    border = dataset.images.clone()
    border[:, :, 2:-2, 2:-2] = 0
    assert not border.any()
    odd = padded(np.full((1, 1, 3, 4), 7, np.uint8), 8)
    assert odd[0, 0].nonzero()[0].tolist() == [2] * 4 + [3] * 4 + [4] * 4
    assert int(odd.sum()) == 7 * 12


def test_a_training_is_measured_against_the_test_split_and_says_so(
    mnist: Path, tmp_path: Path
) -> None:
    evaluations = {}
    for reference in ("train", "test"):
        config = load_config(mapping(mnist, reference))
        training = Training(config, tmp_path / reference)
        assert len(training.dataset.images) == 48
        evaluations[reference] = training.advance()
    train, test = evaluations["train"], evaluations["test"]
    assert (train.protocol["real_count"], test.protocol["real_count"]) == ("48", "24")
    assert not alike(train.protocol, test.protocol)
    assert train.metrics["fid"] != test.metrics["fid"]
    own = open_data(load_config(mapping(mnist, "test")).data)
    apart = reference_of(load_config(mapping(mnist, "test")).data, own, "test", None)
    assert float(apart.images.float().mean()) > 1.5 * float(own.images.float().mean())
    assert torch.equal(reference_of(load_config(SMALL).data, own, "train", None).images, own.images)


def test_data_without_a_test_split_are_refused_before_anything_starts(mnist: Path) -> None:
    digits = merge(SMALL, {"evaluation": {"reference": "test"}})
    assert [problem.path for problem in problems_of(digits)] == ["evaluation.reference"]
    (mnist / "t10k-images-idx3-ubyte.gz").unlink()
    assert problems_of(mapping(mnist, "test"))
    memorised = merge(mapping(mnist, "test"), {"data": {"holdout": 0.2}})
    memorised = merge(memorised, {"evaluation": {"metrics": ["fid", "memorisation"]}})
    assert any("held-out" in str(problem) for problem in problems_of(memorised))
