"""Measuring against the test split, and small images padded to a size that networks have."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sweeper.testing.small import SMALL
from trials.config import load_config, problems_of
from trials.data import check_data, open_data, reference_of
from trials.data.file_source import FileSource
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


def faces(folder: Path, *names: str) -> Path:
    """A folder with a picture of its own at each of these places."""
    for number, name in enumerate(names):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number + len(names)).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(place)
    return folder


def test_a_folder_of_pictures_may_name_its_test_images(tmp_path: Path) -> None:
    train = faces(tmp_path / "train", *(f"{c}/{n}.png" for c in "ab" for n in range(20)))
    test = faces(tmp_path / "test", *(f"{c}/{n}.png" for c in "ab" for n in range(9)))
    data = {"name": "image_folder", "path": str(train), "size": 8, "channels": 1}
    reference = {"evaluation": {"reference": "test", "extractor": "digits"}}
    alone, both = merge(SMALL, {"data": data}), merge(SMALL, {"data": {**data, "test": str(test)}})
    assert [p.path for p in problems_of(merge(alone, reference))] == ["evaluation.reference"]
    training = Training(load_config(merge(both, reference)), tmp_path / "trained")
    assert len(training.dataset.images) == 40
    assert training.advance().protocol["real_count"] == "18"
    # Naming them changes neither the data that are trained on nor where these are kept decoded.
    one, other = (load_config(mapping).source for mapping in (alone, both))
    assert isinstance(one, FileSource)
    assert isinstance(other, FileSource)
    assert one.options() == other.options()

    def told(**changes: Any) -> list[str]:
        return [str(p) for p in check_data(load_config(merge(both, {"data": changes})).data)]

    assert told() == []
    (nowhere,) = told(test=str(tmp_path / "nowhere"))
    assert nowhere.startswith("data.test: ")
    assert "does not exist" in nowhere
    faces(test, "c/1.png")
    (classes,) = told()
    assert "differ in the classes c" in classes
    assert told(labels_from_folders=False) == []
    (spread,) = told(labels_from_folders=False, range="used")
    assert "range: full" in spread
