"""Folders and files that have gone wrong, as people's do: one clear answer, before any training."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import textwrap
import zlib
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


def png(seed: int, size: int = 8) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def classes(root: Path, count: int = 24) -> dict[str, Any]:
    """Two class folders, and the settings that read them."""
    for place, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:03d}.png").write_bytes(png(100 * place + number))
    return {"name": "image_folder", "path": str(root), "size": 8}


def opened(settings: dict[str, Any], **changes: Any) -> Dataset:
    return open_data(CONFIGS.validate_python(settings | changes))


def looked(settings: dict[str, Any], **changes: Any) -> str:
    """What a cheap look finds wrong; a training must say the same."""
    config = CONFIGS.validate_python(settings | changes)
    problems = check_data(config)
    assert problems
    with pytest.raises(DataError):
        open_data(config)
    return "\n".join(map(str, problems))


def test_everything_that_a_listing_can_tell_is_told_at_once(tmp_path: Path) -> None:
    made = classes(tmp_path)
    (tmp_path / "loose.png").write_bytes(png(7))
    (tmp_path / "c").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._000.png").write_bytes(bytes(40))
    (tmp_path / ".DS_Store").write_bytes(bytes(40))
    (tmp_path / "a" / "gone.png").symlink_to("nowhere.png")
    told = looked(made)
    assert "1 image lies in" in told
    assert "loose.png" in told
    assert f"{tmp_path}/__MACOSX, {tmp_path}/c hold no images (2 folders)" in told
    assert "__MACOSX is left by archives of macOS and can be deleted" in told
    assert "1 of 50 images" in told
    assert "a/gone.png (a link that leads nowhere)" in told
    assert "DS_Store" not in told
    assert len(told.splitlines()) == 3


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("link", "a link that leads nowhere"),
        ("pipe", "a pipe, not a file"),
        ("endless", "a device, not a file"),
        ("huge", "9,000,000,000,000 bytes, more than 536,870,912"),
    ],
)
def test_what_is_no_readable_file_counts_as_one_corrupt_picture(
    tmp_path: Path, kind: str, reason: str
) -> None:
    made = classes(tmp_path)
    place = tmp_path / "a" / "strange.png"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "huge":
        with place.open("wb") as file:
            file.truncate(9_000_000_000_000)
    else:
        place.symlink_to(os.devnull if kind == "endless" else "nowhere.png")
    told = looked(made)
    assert f"1 of 49 images in {tmp_path}" in told
    assert f"{place} ({reason})" in told
    data = opened(made, max_corrupt=0.05)
    assert (len(data), data.skipped) == (48, 1)
    (warning,) = data.intake.warnings()
    assert warning == f"1 of 49 pictures skipped: 1 {reason}; the first: {place} ({reason})"
    config = CONFIGS.validate_python(made | {"max_corrupt": 0.05})
    assert list(config.part(config).warnings()) == [warning]


def test_a_pipe_or_a_device_is_refused_in_a_moment_and_in_little_memory(tmp_path: Path) -> None:
    """In a process that may not have much: a hang or a read without an end would show."""
    every = []
    for number, make in enumerate((os.mkfifo, lambda path: os.symlink("/dev/zero", path))):
        for source, name in (("image_folder", "x.png"), ("parquet", "x.parquet"), ("npz", "x")):
            folder = tmp_path / f"{source} {number}"
            folder.mkdir()
            make(folder / name)
            path = folder / name if source == "npz" else folder
            size = {} if source == "npz" else {"size": 8}
            flat = {"labels_from_folders": False} if source == "image_folder" else {}
            every.append({"name": source, "path": str(path), **size, **flat})
    program = f"""
        import resource
        from pydantic import TypeAdapter
        from trials.data import AnyData, check_data, open_data
        from trials.errors import DataError
        import pyarrow.parquet
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
        for settings in {every!r}:
            config = TypeAdapter(AnyData).validate_python(settings)
            assert check_data(config)
            try:
                open_data(config)
            except DataError as error:
                print(error)
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    lines = answer.stdout.splitlines()
    assert len(lines) == len(every)
    assert all("not a file" in line for line in lines)


def test_of_a_split_every_shard_is_wanted(tmp_path: Path) -> None:
    table = pa.table({"image": [png(number) for number in range(4)], "label": [0, 1, 0, 1]})
    first = tmp_path / "train-00000-of-00003.parquet"
    pq.write_table(table, first)
    made = {"name": "parquet", "path": str(tmp_path), "size": 8}
    for path in (tmp_path, first, tmp_path / "train-*.parquet"):
        told = looked(made, path=str(path))
        assert "2 of 3 shards are missing" in told
        assert "train-00001-of-00003.parquet, train-00002-of-00003.parquet" in told
        assert len(opened(made, path=str(path), allow_missing_shards=True)) == 4
    for number in (1, 2):
        pq.write_table(table, tmp_path / f"train-{number:05d}-of-00003.parquet")
    assert len(opened(made)) == 12


def test_shards_that_lead_nowhere_are_told_and_not_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [png(0)], "label": [0]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").symlink_to("nowhere")
    (tmp_path / "c.parquet").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "*.parquet"):
        told = looked({"name": "parquet", "path": str(path), "size": 8})
        assert "b.parquet is a link that leads nowhere" in told
        assert "c.parquet is a link that leads nowhere" in told


def test_parquet_that_names_files_in_place_of_holding_them_is_told_how_to_hold_them(
    tmp_path: Path,
) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": None, "path": f"{number}.png"} for number in range(30)]
    file = tmp_path / "paths.parquet"
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": [0] * 30}), file)
    told = looked({"name": "parquet", "path": str(file), "size": 8})
    assert "30 of 30 cells of 'image'" in told
    assert "datasets.table.embed_table_storage" in told
    rows[0]["bytes"] = png(0)
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": [0] * 30}), file)
    assert "29 of 30 cells" in looked({"name": "parquet", "path": str(file), "size": 8})


def twelve_bits(folder: Path, high: int = 4095) -> dict[str, Any]:
    for number in range(6):
        draw = np.random.default_rng(number)
        pixels = draw.integers(0, high + 1, (8, 8)).astype(np.uint16)
        pixels[0, :2] = 0, high
        Image.fromarray(pixels).save(folder / f"{number}.png")
    flat = {"labels_from_folders": False, "channels": 1}
    return {"name": "image_folder", "path": str(folder), "size": 8, **flat}


def test_pictures_of_twelve_bits_in_sixteen_are_warned_of_and_can_be_spread(
    tmp_path: Path,
) -> None:
    made = twelve_bits(tmp_path)
    dark = opened(made)
    assert int(dark.images.max()) == 15
    (warning,) = dark.intake.warnings()
    assert "use the values 0 to 4095 of 0 to 65535" in warning
    assert "`range: used`" in warning
    bright = opened(made, range="used")
    assert bright.intake.warnings() == []
    assert bright.intake.in_words() == "16-bit values as round(255 (v - 0) / 4095)"
    with Image.open(tmp_path / "3.png") as picture:
        values = np.asarray(picture).astype(float)
    assert np.array_equal(bright.images[3, 0].numpy(), np.rint(values * 255 / 4095))
    assert bright.fingerprint != dark.fingerprint
    twelve_bits(tmp_path, high=8191)
    assert opened(made).intake.warnings()
    twelve_bits(tmp_path, high=8192)
    assert opened(made).intake.warnings() == []


def deep_colour(high: int) -> bytes:
    """A PNG of 16-bit colour, which Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    values = np.random.default_rng(0).integers(0, high + 1, (8, 8, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_colour_of_twelve_bits_in_sixteen_is_warned_of_too(tmp_path: Path) -> None:
    made = {"name": "image_folder", "path": str(tmp_path), "size": 8, "labels_from_folders": False}
    (tmp_path / "a.png").write_bytes(deep_colour(4095))
    data = opened(made)
    assert int(data.images.max()) == 15
    assert data.intake.modes == {"RGB;16": 1}
    (warning,) = data.intake.warnings()
    assert "the 16-bit pictures use the values 0 to 3840" in warning
    assert int(opened(made, range="used").images.max()) == 255
    (tmp_path / "a.png").write_bytes(deep_colour(65535))
    data = opened(made)
    assert data.intake.warnings() == []
    values = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)) >> 8
    assert np.array_equal(data.images[0].numpy(), np.moveaxis(values, -1, 0))


def test_floats_are_read_as_images_by_a_rule_that_is_told(tmp_path: Path) -> None:
    unit = np.random.default_rng(0).random((64, 8, 8)).astype(np.float32)
    wanted = np.rint(unit.astype(float) * 255).astype(np.uint8)

    def read(images: Any) -> Dataset:
        np.savez(tmp_path / "a.npz", images=images)
        return opened({"name": "npz", "path": str(tmp_path / "a.npz"), "labels_key": None})

    data = read(unit)
    assert np.array_equal(data.images.numpy()[:, 0], wanted)
    assert data.intake.in_words() == "float32 in [0, 1] as round(255 v)"
    batch, _ = data.batch(data.images.new_tensor([0]).long())
    assert np.allclose(batch[0, 0].numpy(), 2 * unit[0] - 1, atol=1 / 255)
    for images in (2 * unit - 1, (2 * unit - 1).astype(">f8"), 2 * unit[..., None] - 1):
        data = read(images)
        difference = np.abs(data.images.numpy()[:, 0].astype(int) - wanted)
        assert difference.max() <= 1
        assert difference.mean() < 0.01
        assert data.intake.in_words().endswith("in [-1, 1] as round(127.5 (v + 1))")
    assert np.array_equal(read(wanted.astype(np.float32)).images.numpy()[:, 0], wanted)
    assert data.intake.in_words() != read(wanted.astype(float)).intake.in_words()
    for wrong, told in ((unit * 300, "to 29"), (unit - 2, "-[12]"), (unit * np.nan, "nan")):
        with pytest.raises(DataError, match=f"holds values from .*{told}.* .expected floats in"):
            read(wrong)


def test_floats_that_may_mean_two_things_are_refused_until_it_is_said_which(
    tmp_path: Path,
) -> None:
    values = np.random.default_rng(0).random((64, 8, 8))
    file = tmp_path / "a.npz"
    made = {"name": "npz", "path": str(file), "labels_key": None}
    np.savez(file, images=values * 255)
    with pytest.raises(DataError, match=r"not all whole.*expected floats: bytes"):
        opened(made)
    data = opened({**made, "floats": "bytes"})
    assert np.array_equal(data.images.numpy()[:, 0], np.rint(values * 255).astype(np.uint8))
    assert data.intake.in_words() == "float64 in [0, 255] as round(v)"
    with pytest.raises(DataError, match=r"to 25\d.* .expected values in \[-1, 1\], as floats: sig"):
        opened({**made, "floats": "signed"})
    np.savez(file, images=values)
    bright = opened({**made, "floats": "signed"}).images
    assert np.array_equal(bright.numpy()[:, 0], np.rint(127.5 * (values + 1)).astype(np.uint8))
