"""Each file format: the layouts it takes, and one clear answer to each way of being wrong."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import pickle
import shlex
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter

from trials.data import AnyData, Dataset, check_data, open_data
from trials.errors import DataError

CONFIGS: TypeAdapter[Any] = TypeAdapter(AnyData)


def opened(**settings: Any) -> Dataset:
    return open_data(CONFIGS.validate_python(settings))


def refused(settings: dict[str, Any], message: str, *, unseen: bool = False) -> None:
    """Opening fails with `message`, and a cheap look finds the same, unless it cannot."""
    config = CONFIGS.validate_python(settings)
    with pytest.raises(DataError, match=message):
        open_data(config)
    problems = [str(problem) for problem in check_data(config)]
    if unseen:
        assert problems == []
    else:
        with pytest.raises(DataError, match=message):
            raise DataError("\n".join(problems))


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def png(*shape: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(noise(*shape)).save(stream, "PNG")
    return stream.getvalue()


# Parquet -------------------------------------------------------------------------------------


def parquet(path: Path, metadata: Any = None, **columns: Any) -> dict[str, Any]:
    table = pa.table(columns)
    if metadata:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path)
    return {"name": "parquet", "path": str(path), "size": 8}


def test_parquet_takes_a_file_a_folder_or_a_pattern_and_a_limit(tmp_path: Path) -> None:
    cells = [png(8, 8, 3)] * 5
    for split in ("train", "test"):
        parquet(tmp_path / f"{split}-00000-of-00001.parquet", image=cells, label=[0, 1, 2, 1, 0])
    one = {"name": "parquet", "path": str(tmp_path / "test-00000-of-00001.parquet"), "size": 8}
    assert len(opened(**one)) == 5
    assert len(opened(**one | {"path": str(tmp_path / "*.parquet")})) == 10
    assert len(opened(**one | {"path": str(tmp_path / "*.parquet"), "limit": 7})) == 7
    refused(one | {"path": str(tmp_path)}, r"several splits: test, train \(expected one of them")
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    assert len(opened(**one | {"path": str(tmp_path)})) == 5


def test_parquet_names_classes_as_its_metadata_do(tmp_path: Path) -> None:
    names = ["cat", "dog", "owl"]
    facts = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    made = parquet(tmp_path / "a.parquet", facts, image=[png(9, 9)] * 2, label=[0, 1])
    data = opened(**made)
    assert data.class_names == ("cat", "dog", "owl")
    assert data.classes == 3
    parquet(tmp_path / "a.parquet", facts, image=[png(9, 9)], label=[3])
    refused(made, "a label in .*a.parquet is 3 .expected 0 to 2", unseen=True)
    facts["info"]["features"]["label"]["names"] = None
    parquet(tmp_path / "a.parquet", facts, image=[png(9, 9)] * 2, label=[0, 1])
    assert opened(**made).class_names == ("0", "1")


def test_parquet_is_found_where_its_path_looks_like_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "runs [old]"
    folder.mkdir()
    made = parquet(folder / "a[1].parquet", image=[png(8, 8)] * 2, label=[0, 1])
    for path in (folder / "a[1].parquet", folder, folder / "a*.parquet"):
        assert len(opened(**made | {"path": str(path)})) == 2
    refused(made | {"path": str(folder / "b*.parquet")}, "nothing is found at .*old")


def test_parquet_without_labels_and_in_grey(tmp_path: Path) -> None:
    made = parquet(tmp_path / "a.parquet", image=[png(8, 8, 3)] * 2)
    refused(made, r"no column 'label' \(expected one of image; null for none\)")
    data = opened(**made, label_column=None, channels=1)
    assert data.labels is None
    assert data.classes == 0
    assert data.shape == (1, 8, 8)


def test_parquet_answers_clearly(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    image, label = [png(8, 8)] * 4, [0, 1, 0, 1]
    made = parquet(file, images=image, label=label)
    refused(made, "no column 'image' .*did you mean 'images'")
    parquet(file, image=["a.png"] * 4, label=label)
    refused(made, r"'image' in .* is of type string: at most it names .*embed_table_storage")
    parquet(file, image=image, label=[0.5] * 4)
    refused(made, "'label' in .* is of type double .expected integers")
    parquet(file, image=image, label=[0, 1, None, 0])
    refused(made, "a label in .* is empty", unseen=True)
    parquet(file, image=image, label=[0, -1, 1, 0])
    refused(made, "a label in .* is -1 .expected integers from 0", unseen=True)
    parquet(file, image=pa.array([], pa.binary()), label=pa.array([], pa.int64()))
    refused(made, "holds no images .expected at least one")
    cells = pa.array(
        [{"bytes": None, "path": "a.png"}] * 4,
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    parquet(file, image=cells, label=label)
    embedding = "4 of 4 cells of 'image' in .* hold no picture; .*embed_table_storage"
    refused(made, embedding)
    refused(made | {"max_corrupt": 1.0}, embedding)
    parquet(file, image=[b"no picture"] * 4, label=label)
    refused(made, r"1 or more of 4 images .*row 0 \(not a picture", unseen=True)
    refused(made | {"max_corrupt": 1.0}, r"holds no images \(4 skipped\)", unseen=True)
    file.write_bytes(b"not Parquet at all")
    refused(made, "cannot be read as Parquet")
    file.write_bytes(b"")
    refused(made, "is an empty file")
    refused(made | {"path": str(tmp_path / "no*.parquet")}, "nothing is found at .*no")
    (tmp_path / "bare").mkdir()
    refused(made | {"path": str(tmp_path / "bare")}, "nothing is found at .*bare")


def test_parquet_that_is_damaged_in_its_middle_is_a_clear_stop(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    made = parquet(file, image=[png(32, 32, 3) for _ in range(20)], label=[0] * 20)
    data = bytearray(file.read_bytes())
    data[4:200] = bytes(196)
    file.write_bytes(data)
    refused(made, r"a\.parquet", unseen=True)


def test_parquet_is_read_without_holding_the_file_in_memory(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(100, 100, 3)).save(stream, "PPM")
    cells = [stream.getvalue()[:-2] + number.to_bytes(2, "big") for number in range(1000)]
    table = pa.table({"image": cells, "label": [0] * 1000})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    del table, cells
    size = (tmp_path / "a.parquet").stat().st_size
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    try:
        assert len(opened(name="parquet", path=str(tmp_path / "a.parquet"), size=8)) == 1000
    finally:
        pa.set_memory_pool(usual)
    assert size > 25_000_000
    assert counted.max_memory() < 12_000_000


# Folders of images ---------------------------------------------------------------------------


def pictures(root: Path, *names: str) -> dict[str, Any]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(10, 12, 3))
    return {"name": "image_folder", "path": str(root), "size": 8}


def test_folders_are_classes_however_deep_the_pictures_lie(tmp_path: Path) -> None:
    made = pictures(
        tmp_path, "b/1.png", "a/deep/2.PNG", "a/.hidden.png", ".hidden/1.png", "b/._1.png"
    )
    (tmp_path / "b" / "loop").symlink_to(tmp_path / "b")
    (tmp_path / "readme.txt").write_text("no picture")
    data = opened(**made)
    assert data.class_names == ("a", "b")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1]
    flat = opened(**made, labels_from_folders=False)
    assert flat.labels is None
    assert len(flat) == 2


def test_one_corrupt_picture_in_a_hundred_is_skipped_and_counted(tmp_path: Path) -> None:
    made = pictures(tmp_path, *(f"a/{n:03d}.png" for n in range(99)))
    (tmp_path / "a" / "zzz.png").write_bytes(b"not a picture")
    data = opened(**made)
    assert (len(data), data.skipped, data.describe()["skipped"]) == (99, 1, 1)
    (tmp_path / "a" / "broken.png").write_bytes(b"")
    refused(made, r"data.max_corrupt: 2 or more of 101 images in .*broken\.png", unseen=True)


def test_a_folder_answers_clearly(tmp_path: Path) -> None:
    made = pictures(tmp_path / "root", "a/1.png", "2.png")
    refused(made, "1 image lies in .* itself, such as 2.png")
    (tmp_path / "root" / "2.png").unlink()
    (tmp_path / "root" / "b").mkdir()
    refused(made, "root/b holds no images")
    flat = pictures(tmp_path / "flat", "1.png")
    refused(flat, "such as 1.png|no subfolders to take classes from")
    assert len(opened(**flat, labels_from_folders=False)) == 1
    (tmp_path / "bare").mkdir()
    refused(flat | {"path": str(tmp_path / "bare")}, "bare holds no images .expected files .png")
    refused(flat | {"path": str(tmp_path / "flat" / "1.png")}, "1.png is not a folder")


def test_a_folder_within_that_cannot_be_listed_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pictures(tmp_path, "a/1.png", "a/locked/2.png", "b/3.png")
    scandir = os.scandir

    def forbidden(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    refused(made, "locked cannot be listed: Permission denied")


# NumPy archives ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "item"),
    [
        ((6, 8, 8), (1, 8, 8)),
        ((6, 8, 8, 1), (1, 8, 8)),
        ((6, 8, 8, 3), (3, 8, 8)),
        ((6, 3, 8, 8), (3, 8, 8)),
        ((6, 1, 8, 8), (1, 8, 8)),
    ],
)
def test_npz_takes_every_usual_arrangement(
    tmp_path: Path, shape: tuple[int, ...], item: tuple[int, ...]
) -> None:
    images = noise(*shape)
    np.savez(tmp_path / "a.npz", x=images, y=np.zeros((6, 1), np.uint8))
    made = {"name": "npz", "path": str(tmp_path / "a.npz"), "images_key": "x", "labels_key": "y"}
    data = opened(**made)
    assert data.shape == item
    planar = np.moveaxis(images, -1, 1) if shape[-1] in (1, 3) else images
    assert np.array_equal(data.images.numpy(), planar.reshape(6, *item))
    assert opened(**made, size=16, channels=3).shape == (3, 16, 16)
    assert opened(**made, channels=1).shape == (1, 8, 8)


def test_npz_answers_clearly_and_never_unpickles(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    made = {"name": "npz", "path": str(file)}

    def save(**arrays: Any) -> None:
        np.savez(file, **arrays)

    labels = np.zeros(4, int)
    save(image=noise(4, 8, 8), labels=labels)
    refused(made, "no array 'images' .expected one of image, labels.; did you mean 'image'")
    save(images=np.array([object()]), labels=labels)
    refused(made, "'images' in .* is object of shape .1,. .expected uint8")
    save(images=noise(4, 8, 8).astype(int), labels=labels)
    refused(made, "'images' in .* is int64 .*expected uint8, or floats in")
    save(images=noise(4, 8, 8, 2), labels=labels)
    refused(made, r"of shape \(4, 8, 8, 2\) \(expected uint8, .* of shape \(N, H, W\)")
    save(images=np.asfortranarray(noise(4, 8, 8)), labels=labels)
    refused(made, "in Fortran order .expected .* in C order")
    save(images=noise(4, 8, 9), labels=labels)
    refused(made, "are 8 × 9 pixels .expected squares, or a size")
    assert opened(**made, size=8).shape == (1, 8, 8)
    save(images=noise(4, 8, 8), labels=labels[:3])
    refused(made, r"'labels' in .* is int64 of shape \(3,\) \(expected integers of shape \(4,\)")
    save(images=noise(4, 8, 8), labels=np.array([object()] * 4))
    refused(made, "'labels' in .* is object")
    save(images=noise(4, 8, 8), labels=np.array([0, 1, -7, 0]))
    refused(made, "a label in .* is -7", unseen=True)
    save(images=noise(0, 8, 8), labels=labels[:0])
    refused(made, "holds no images")
    np.save(tmp_path / "a.npy", noise(4, 8, 8))
    refused({"name": "npz", "path": str(tmp_path / "a.npy")}, "is damaged: File is not a zip file")


def test_npz_that_is_cut_or_lies_is_a_clear_stop(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    made = {"name": "npz", "path": str(file), "labels_key": None}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 8000, 8000)}
    )
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(1000))
    refused(made | {"size": 8}, "is cut off|GB are free", unseen=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", header.getvalue().replace(b"8000", b"9999") + bytes(10))
    refused(made | {"size": 8}, "claims images of 9999 × 9999 pixels")
    np.savez_compressed(file, images=noise(4000, 8, 8))
    data = bytearray(file.read_bytes())
    data[200_000:200_020] = bytes(20)
    file.write_bytes(data)
    refused(made, "is damaged", unseen=True)


# MNIST's format ------------------------------------------------------------------------------


def idx(array: Any, kind: int = 8) -> bytes:
    head = bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_idx_finds_the_training_pair_in_a_folder_plain_or_packed(tmp_path: Path) -> None:
    images, labels = noise(5, 28, 28), np.arange(5)
    styles: list[tuple[str, str, Callable[[bytes], bytes]]] = [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", bytes),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", bytes),
        ("emnist-train-images-idx3-ubyte.gz", "emnist-train-labels-idx1-ubyte.gz", gzip.compress),
    ]
    for number, (pictures_name, labels_name, pack) in enumerate(styles):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / pictures_name).write_bytes(pack(idx(images)))
        (folder / labels_name).write_bytes(pack(idx(labels)))
        data = opened(name="idx", path=str(folder))
        assert np.array_equal(data.images.numpy()[:, 0], images)
        assert data.labels is not None
        assert data.labels.tolist() == labels.tolist()
    assert opened(name="idx", path=str(folder), size=32).shape == (1, 32, 32)
    alone = opened(name="idx", path=str(folder / pictures_name))
    assert alone.labels is None


def test_idx_answers_clearly(tmp_path: Path) -> None:
    file, marks = tmp_path / "images", tmp_path / "labels"
    made = {"name": "idx", "path": str(file), "labels": str(marks)}
    file.write_bytes(idx(noise(4, 8, 8)))
    marks.write_bytes(idx(np.zeros(3)))
    refused(made, "data.labels: .* holds 3 labels .expected 4")
    refused(made | {"labels": str(file)}, "data.labels: .*begins with 0x00000803")
    refused(made | {"path": str(marks)}, r"data.path: .*begins with 0x00000801 \(expected an idx")
    marks.write_bytes(idx(np.zeros(4)))
    assert len(opened(**made)) == 4
    file.write_bytes(idx(noise(4, 8, 8))[:-1])
    refused(made, "images has 271 bytes .expected 272, by its header")
    file.write_bytes(b"\0\0")
    refused(made, "is cut off .expected 2 bytes more")
    file.write_bytes(idx(noise(0, 8, 8)))
    marks.write_bytes(idx(np.zeros(0)))
    refused(made, "holds no images")

    alone = {"name": "idx", "path": str(file)}
    file.write_bytes(gzip.compress(idx(noise(400, 8, 8)))[:-500])
    refused(alone, "images is damaged|is cut off", unseen=True)
    file.write_bytes(gzip.compress(idx(noise(4, 8, 8)) + b"0"))
    refused(alone, "goes on after its 4 images", unseen=True)
    file.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 10**9, 8000, 8000)))
    refused(alone, "claims 64000000000000016 bytes and has")
    file.write_bytes(b"\x1f\x8bnonsense")
    refused(alone, "images is damaged")
    refused({"name": "idx", "path": str(tmp_path)}, "has no training images")


# CIFAR-10 ------------------------------------------------------------------------------------


def test_cifar10_has_its_splits_its_names_and_its_folder_within_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number in range(5):
        (folder / f"data_batch_{number + 1}.bin").write_bytes(bytes([number]) + bytes(3072))
    made = {"name": "cifar10", "path": str(tmp_path)}
    assert opened(**made).labels.tolist() == [0, 1, 2, 3, 4]
    refused(made | {"split": "test"}, "test_batch.bin does not exist .expected the folder cifar")
    planes = b"".join(bytes([value]) * 1024 for value in (10, 20, 30))
    (folder / "test_batch.bin").write_bytes((b"\x09" + planes) * 2)
    data = opened(**made, split="test")
    assert data.images[1, :, 5, 7].tolist() == [10, 20, 30]
    assert data.class_names[int(data.labels[0])] == "truck"
    assert len(opened(**made, split="all")) == 7
    assert opened(**made, size=64).shape == (3, 64, 64)


def test_cifar10_in_pickles_is_refused_with_the_line_that_converts_it(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    images, labels = noise(10, 3072), list(range(10))
    for number in range(5):
        part = slice(2 * number, 2 * number + 2)
        batch = {b"data": images[part], b"labels": labels[part]}
        (folder / f"data_batch_{number + 1}").write_bytes(pickle.dumps(batch))
    for path in (tmp_path, folder):
        refused({"name": "cifar10", "path": str(path)}, "is CIFAR-10's Python version.*never run")
    refused(
        {"name": "npz", "path": str(folder / "data_batch_1")}, "a Python pickle, which is a pro"
    )
    (problem,) = check_data(CONFIGS.validate_python({"name": "cifar10", "path": str(tmp_path)}))
    line = problem.expected.partition("run python ")[2].partition(" and take data: ")[0]
    subprocess.run([sys.executable, *shlex.split(line)], cwd=tmp_path, check=True)
    made = opened(name="npz", path=str(tmp_path / "cifar10.npz"))
    assert np.array_equal(made.images.numpy().reshape(10, -1), images)
    assert made.labels is not None
    assert made.labels.tolist() == labels


def test_cifar10_answers_clearly(tmp_path: Path) -> None:
    made = {"name": "cifar10", "path": str(tmp_path), "split": "test"}
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073 * 2 - 1))
    refused(made, "has 6145 bytes .expected a multiple of 3073")
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + bytes(3072))
    refused(made, "a label in .* is 10 .expected 0 to 9", unseen=True)
    (tmp_path / "test_batch.bin").write_bytes(b"")
    refused(made, "is an empty file")
