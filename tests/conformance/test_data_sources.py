"""One suite that every source of data obeys, from files that the test makes itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter
from sklearn.datasets import load_digits

from trials.data import AnyData, Dataset, DataSource, check_data, open_data
from trials.data.examples import pictures, png
from trials.errors import DataError

CONFIGS: TypeAdapter[Any] = TypeAdapter(AnyData)

PICTURES = {
    "parquet": (3, 16),
    "image_folder": (3, 16),
    "npz": (3, 16),
    "idx": (1, 16),
    "cifar10": (3, 32),
}
"""Channels and side of the pictures that the example of a file source is made of."""


@dataclass(frozen=True)
class Made:
    """An example of a source: its settings, and what comes out of it."""

    settings: dict[str, Any]
    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any] | None


def make(source: str, folder: Path, seed: int) -> Made:
    """The example that the source gives of itself, opened without a cache."""
    folder.mkdir()
    settings = {"name": source, **DataSource.named(source).example(folder, seed)}
    data = opened(settings)
    return Made(settings, data.images.numpy(), None if data.labels is None else data.labels.numpy())


def opened(settings: dict[str, Any], cache: Path | None = None, **changes: Any) -> Dataset:
    return open_data(CONFIGS.validate_python(settings | changes), cache=cache)


@pytest.fixture(params=DataSource.all())
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(source: str, tmp_path: Path) -> Made:
    return make(source, tmp_path / "files", 0)


def rows(items: torch.Tensor) -> set[bytes]:
    return {item.numpy().tobytes() for item in items}


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_in_the_files_are_the_ones_that_come_out(name: str, tmp_path: Path) -> None:
    images, labels = pictures(0, *PICTURES[name])
    example = make(name, tmp_path / "files", 0)
    assert np.array_equal(example.images, images)
    assert example.labels is not None
    assert np.array_equal(example.labels, labels)


def test_the_embedded_digits_are_scikit_learn_s(tmp_path: Path) -> None:
    digits = load_digits()
    images = np.rint(digits.images * 255 / 16).astype(np.uint8)[:, None]
    example = make("digits", tmp_path / "files", 0)
    assert np.array_equal(example.images, images)
    assert np.array_equal(example.labels, digits.target)
    larger = opened({"name": "digits", "size": 16}).images.numpy()
    for image, other in zip(images, larger, strict=True):
        resized = Image.fromarray(image[0]).resize((16, 16), Image.Resampling.BICUBIC)
        assert np.array_equal(other[0], np.asarray(resized))


def test_items_are_the_same_with_a_cache_and_without(made: Made, tmp_path: Path) -> None:
    for cache in (tmp_path / "cache", tmp_path / "cache"):
        data = opened(made.settings, cache)
        assert np.array_equal(data.images.numpy(), made.images)
        assert data.skipped == 0
        if made.labels is None:
            assert data.labels is None
        else:
            assert data.labels is not None
            assert np.array_equal(data.labels.numpy(), made.labels)


def test_shape_type_and_range_are_as_declared(made: Made, tmp_path: Path) -> None:
    config = CONFIGS.validate_python(made.settings)
    data = open_data(config, cache=tmp_path / "cache")
    origin = config.part(config)
    assert data.shape == origin.item_shape() == made.images.shape[1:]
    assert data.kind == origin.items
    assert (data.modes is not None) == origin.known_modes
    assert len(data) == len(made.images)
    batch, labels = data.batch(torch.arange(len(data)))
    assert batch.dtype == torch.float32
    if data.kind == "image":
        assert data.images.dtype == torch.uint8
        assert batch.min() >= -1
        assert batch.max() <= 1
        assert batch.max() - batch.min() > 1.9
    else:
        assert data.images.dtype == torch.float32
        assert (data.mode_std is not None) == origin.known_modes
    assert (labels is not None) == origin.labelled
    if labels is not None:
        assert labels.dtype == torch.int64
        assert labels.min() >= 0
        assert labels.max() < data.classes == len(data.class_names)


def test_a_batch_is_direct_indexing(made: Made, tmp_path: Path) -> None:
    data = opened(made.settings, tmp_path / "cache")
    indices = torch.tensor([3, 0, 3, len(data) - 1])
    batch, labels = data.batch(indices)
    wanted = torch.from_numpy(made.images[indices.numpy()])
    assert torch.equal(batch, wanted / 127.5 - 1 if data.kind == "image" else wanted)
    if labels is not None:
        assert made.labels is not None
        assert labels.tolist() == made.labels[indices.numpy()].tolist()
    again, _ = data.batch(indices)
    assert torch.equal(again, batch), "a batch must not write into the data"


def test_the_fingerprint_knows_the_content_and_nothing_else(
    source: str, made: Made, tmp_path: Path
) -> None:
    first = opened(made.settings, tmp_path / "cache").fingerprint
    assert opened(made.settings, tmp_path / "cache").fingerprint == first
    assert opened(made.settings, tmp_path / "another cache").fingerprint == first
    assert opened(made.settings).fingerprint == first
    if opened(made.settings).kind == "image":
        assert opened(made.settings, flip=True).fingerprint == first
    assert opened(made.settings, holdout=0.25).fingerprint != first
    changed = make(source, tmp_path / "other", 1)
    assert opened(changed.settings).fingerprint != first


def test_held_out_items_are_disjoint_and_always_the_same(made: Made, tmp_path: Path) -> None:
    data = opened(made.settings, tmp_path / "cache", holdout=0.25)
    assert data.held_out is not None
    count = len(made.images)
    assert len(data.held_out) == round(0.25 * count)
    assert len(data) + len(data.held_out) == count
    assert not rows(data.images) & rows(data.held_out)
    assert rows(data.images) | rows(data.held_out) == rows(torch.from_numpy(made.images))
    again = opened(made.settings, holdout=0.25)
    assert again.held_out is not None
    assert torch.equal(again.held_out, data.held_out)
    assert torch.equal(again.images, data.images)
    if made.labels is not None:
        assert data.labels is not None
        pairs = zip(made.images, made.labels, strict=True)
        where = {item.tobytes(): label for item, label in pairs}
        assert [where[i.numpy().tobytes()] for i in data.images] == data.labels.tolist()
    assert opened(made.settings).held_out is None


def test_a_cheap_look_finds_nothing_wrong_where_nothing_is(made: Made) -> None:
    assert check_data(CONFIGS.validate_python(made.settings)) == []


def paths_in(settings: dict[str, Any]) -> list[str]:
    """The settings of an example that name a file or folder."""
    return [name for name, value in CONFIGS.validate_python(settings) if isinstance(value, Path)]


def test_missing_files_are_found_by_a_look_and_refused_on_opening(
    made: Made, tmp_path: Path
) -> None:
    nowhere = {name: str(tmp_path / "no" / name) for name in paths_in(made.settings)}
    for knob, value in nowhere.items():
        config = CONFIGS.validate_python(made.settings | {knob: value})
        (problem,) = check_data(config)
        assert problem.path == f"data.{knob}"
        assert value in problem.message
        assert problem.expected
        with pytest.raises(DataError, match=f"data.{knob}: .*does not exist.*expected"):
            open_data(config)
    everything = CONFIGS.validate_python(made.settings | nowhere)
    assert bool(check_data(everything)) == bool(nowhere)


def test_settings_survive_json_and_are_hashable(made: Made) -> None:
    config = CONFIGS.validate_python(made.settings)
    again = CONFIGS.validate_json(CONFIGS.dump_json(config))
    assert again == config
    assert hash(again) == hash(config)


def test_a_description_is_plain_facts(made: Made) -> None:
    facts = opened(made.settings).describe()
    assert facts["count"] == len(made.images)
    assert facts["shape"] == list(made.images.shape[1:])
    assert {type(value) for value in facts.values()} <= {str, int, list}


def test_the_same_pictures_from_any_container_are_the_same_data(tmp_path: Path) -> None:
    prints = {
        opened(make(name, tmp_path / name, 0).settings).fingerprint
        for name in ("parquet", "image_folder", "npz")
    }
    # Hugging Face's other layout: each picture a struct of its bytes and a path.
    images, labels = pictures(0, 3, 16)
    cells = [{"bytes": png(image), "path": None} for image in images]
    pq.write_table(pa.table({"image": cells, "label": labels}), tmp_path / "structs.parquet")
    structs = {"name": "parquet", "path": str(tmp_path / "structs.parquet"), "size": 16}
    prints.add(opened(structs).fingerprint)
    assert len(prints) == 1
