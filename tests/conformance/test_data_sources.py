"""One suite that every source of data obeys, from files that the test makes itself."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
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

from trials.data import SOURCES, AnyData, Dataset, check_data, open_data
from trials.errors import DataError

CONFIGS: TypeAdapter[Any] = TypeAdapter(AnyData)
COUNT = 40


@dataclass(frozen=True)
class Made:
    """Files of a source, its settings, and what must come out."""

    settings: dict[str, Any]
    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any] | None
    missing: dict[str, str]
    """Setting → a value that points nowhere."""


def pixels(seed: int, channels: int, side: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (COUNT, channels, side, side), dtype=np.uint8)
    labels = np.sort(np.arange(COUNT) % 5)
    return images, labels


def png(image: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(stream, "PNG")
    return stream.getvalue()


def make_digits(folder: Path, seed: int) -> Made:
    # "Other content" of an embedded source is another of its settings.
    digits = load_digits()
    images = np.rint(digits.images * 255 / 16).astype(np.uint8)[:, None]
    settings: dict[str, Any] = {"name": "digits"}
    if seed:
        settings["size"] = 16
        images = np.stack(
            [
                np.asarray(Image.fromarray(i[0]).resize((16, 16), Image.BICUBIC))[None]
                for i in images
            ]
        )
    return Made(settings, images, digits.target, {})


def make_mixture(name: str) -> Callable[[Path, int], Made]:
    def make(folder: Path, seed: int) -> Made:
        settings = {"name": name, "points": 1000, "seed": seed}
        opened = open_data(CONFIGS.validate_python(settings))
        return Made(settings, opened.images.numpy(), opened.labels.numpy(), {})

    return make


def make_parquet(folder: Path, seed: int, structs: bool = True) -> Made:
    images, labels = pixels(seed, 3, 16)
    cells: list[Any] = [png(image) for image in images]
    if structs:
        cells = [{"bytes": cell, "path": None} for cell in cells]
    half = COUNT // 2
    for number, part in enumerate((slice(0, half), slice(half, None))):
        table = pa.table({"image": cells[part], "label": labels[part]})
        pq.write_table(table, folder / f"train-{number:05d}-of-00002.parquet", row_group_size=7)
    settings = {"name": "parquet", "path": str(folder), "size": 16}
    return Made(settings, images, labels, {"path": str(folder / "no")})


def make_image_folder(folder: Path, seed: int) -> Made:
    images, labels = pixels(seed, 3, 16)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / f"class {label}"
        place.mkdir(exist_ok=True)
        (place / f"{number:03d}.png").write_bytes(png(image))
    settings = {"name": "image_folder", "path": str(folder), "size": 16}
    return Made(settings, images, labels, {"path": str(folder / "no")})


def make_npz(folder: Path, seed: int) -> Made:
    images, labels = pixels(seed, 3, 16)
    np.savez_compressed(folder / "a.npz", images=np.moveaxis(images, 1, -1), labels=labels)
    settings = {"name": "npz", "path": str(folder / "a.npz")}
    return Made(settings, images, labels, {"path": str(folder / "no.npz")})


def make_idx(folder: Path, seed: int) -> Made:
    images, labels = pixels(seed, 1, 16)
    head = struct.pack(">4B3I", 0, 0, 8, 3, COUNT, 16, 16)
    (folder / "images.gz").write_bytes(gzip.compress(head + images.tobytes()))
    head = struct.pack(">4BI", 0, 0, 8, 1, COUNT)
    (folder / "labels").write_bytes(head + labels.astype(np.uint8).tobytes())
    settings = {
        "name": "idx",
        "path": str(folder / "images.gz"),
        "labels": str(folder / "labels"),
    }
    missing = {"path": str(folder / "no"), "labels": str(folder / "none")}
    return Made(settings, images, labels, missing)


def make_cifar10(folder: Path, seed: int) -> Made:
    images, labels = pixels(seed, 3, 32)
    records = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(COUNT, -1)], axis=1)
    for number, part in enumerate(np.split(records, 5), start=1):
        (folder / f"data_batch_{number}.bin").write_bytes(part.tobytes())
    settings = {"name": "cifar10", "path": str(folder)}
    return Made(settings, images, labels, {"path": str(folder / "no")})


MAKERS: dict[str, Callable[[Path, int], Made]] = {
    "digits": make_digits,
    "ring": make_mixture("ring"),
    "grid": make_mixture("grid"),
    "parquet": make_parquet,
    "image_folder": make_image_folder,
    "npz": make_npz,
    "idx": make_idx,
    "cifar10": make_cifar10,
}


@pytest.fixture(params=list(MAKERS))
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(source: str, tmp_path: Path) -> Made:
    folder = tmp_path / "files"
    folder.mkdir()
    return MAKERS[source](folder, 0)


def opened(settings: dict[str, Any], cache: Path | None = None, **changes: Any) -> Dataset:
    return open_data(CONFIGS.validate_python(settings | changes), cache=cache)


def rows(items: torch.Tensor) -> set[bytes]:
    return {item.numpy().tobytes() for item in items}


def test_every_source_is_in_this_suite() -> None:
    assert set(MAKERS) == set(SOURCES)


def test_items_are_the_very_ones_in_the_files(made: Made, tmp_path: Path) -> None:
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
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
    assert data.shape == config.item_shape() == made.images.shape[1:]
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
        assert data.modes is not None
        assert data.mode_std is not None
    assert (labels is not None) == config.labelled
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
    other = tmp_path / "other"
    other.mkdir()
    changed = MAKERS[source](other, 1)
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
    where = {item.tobytes(): label for item, label in zip(made.images, made.labels, strict=True)}
    assert [where[i.numpy().tobytes()] for i in data.images] == data.labels.tolist()
    assert opened(made.settings).held_out is None


def test_a_cheap_look_finds_nothing_wrong_where_nothing_is(made: Made) -> None:
    assert check_data(CONFIGS.validate_python(made.settings)) == []


def test_missing_files_are_found_by_a_look_and_refused_on_opening(made: Made) -> None:
    for knob, value in made.missing.items():
        config = CONFIGS.validate_python(made.settings | {knob: value})
        (problem,) = check_data(config)
        assert problem.path == f"data.{knob}"
        assert value in problem.message
        assert problem.expected
        with pytest.raises(DataError, match=f"data.{knob}: .*does not exist.*expected"):
            open_data(config)
    both = CONFIGS.validate_python(made.settings | made.missing)
    assert bool(check_data(both)) == bool(made.missing)


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
    prints = set()
    for name in ("parquet", "image_folder", "npz"):
        folder = tmp_path / name
        folder.mkdir()
        prints.add(opened(MAKERS[name](folder, 0).settings).fingerprint)
    (tmp_path / "plain").mkdir()
    plain = make_parquet(tmp_path / "plain", 0, structs=False)
    prints.add(opened(plain.settings).fingerprint)
    assert len(prints) == 1
