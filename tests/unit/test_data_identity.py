"""Data are known by what they hold: names, sizes and times of change can all be those of others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter

from trials.data import AnyData, Dataset, identity, open_data
from trials.data.content import Block, Reading
from trials.data.identity import digests
from trials.data.sources.npz import Npz
from trials.errors import DataError

CONFIGS: TypeAdapter[Any] = TypeAdapter(AnyData)
LONG_AGO = (1_700_000_000, 1_700_000_000)


def noise(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def bitmap(seed: int) -> bytes:
    """A picture whose size in bytes does not depend on what it shows."""
    stream = io.BytesIO()
    Image.fromarray(noise(seed, 8, 8)).save(stream, "BMP")
    return stream.getvalue()


def archive(folder: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    np.savez(folder / "x.npz", images=noise(seed, 64, 8, 8))
    return folder / "x.npz", {"name": "npz", "path": folder / "x.npz", "labels_key": None}


def pictures(folder: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    for number in range(3):
        (folder / f"{number}.bmp").write_bytes(bitmap(10 * seed + number))
    flat = {"labels_from_folders": False, "channels": 1}
    return folder / "1.bmp", {"name": "image_folder", "path": folder, "size": 8, **flat}


def table(folder: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    cells = [bitmap(10 * seed + number) for number in range(3)]
    pq.write_table(pa.table({"image": cells}), folder / "x.parquet", compression="none")
    settings = {"label_column": None, "size": 8, "channels": 1}
    return folder / "x.parquet", {"name": "parquet", "path": folder / "x.parquet", **settings}


def opened(settings: dict[str, Any], cache: Path | None) -> Dataset:
    return open_data(CONFIGS.validate_python(settings), cache=cache)


@pytest.mark.parametrize("make", [archive, pictures, table])
def test_other_content_behind_the_old_size_and_time_is_other_data(
    make: Callable[[Path, int], tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("x", "y")]
    for folder in folders:
        folder.mkdir()
    (file, settings), (other, _) = (make(folder, n) for n, folder in enumerate(folders))
    for each in (file, other):
        os.utime(each, LONG_AGO)
    assert file.stat().st_size == other.stat().st_size
    before = opened(settings, tmp_path / "cache")
    # As `cp -p` and `rsync -t` do it.
    shutil.copyfile(other, file)
    shutil.copystat(other, file)
    after = opened(settings, tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    assert np.array_equal(after.images.numpy(), opened(settings, None).images.numpy())


def test_a_file_that_changes_again_within_a_tick_of_the_clock_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system whose clock stands still, as it does between two of its ticks."""

    def stopped(facts: os.stat_result) -> str:
        return f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:0:0"

    monkeypatch.setattr(identity, "_mark", stopped)
    file, settings = archive(tmp_path, 0)
    before = opened(settings, tmp_path / "cache")
    archive(tmp_path, 1)
    assert opened(settings, tmp_path / "cache").fingerprint != before.fingerprint
    assert file.stat().st_size > 0


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files of the test were older than a tick of the clock."""
    now = time.time
    monkeypatch.setattr(identity.time, "time", lambda: now() + 60)


def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets the name of each file that is read to hash it."""
    names: list[str] = []
    read = identity._read

    def noted(file: Path, most: int | None) -> Any:
        names.append(file.name)
        return read(file, most)

    monkeypatch.setattr(identity, "_read", noted)
    return names


def test_only_what_is_new_is_read_to_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    names = read_files(monkeypatch)
    files = [tmp_path / f"{number}.bin" for number in range(4)]
    for file in files:
        file.write_bytes(file.name.encode())
    memory = tmp_path / "memory.json"
    wanted: list[str | None] = [hashlib.sha256(file.name.encode()).hexdigest() for file in files]
    assert digests(files[:3], memory) == wanted[:3]
    names.clear()
    assert digests(files, memory) == wanted
    assert names == ["3.bin"]
    names.clear()
    os.utime(files[1], LONG_AGO)
    assert digests(files, memory) == wanted
    assert names == ["1.bin"]
    for damage in (b"{", b"[1]", b"\xff\xfe"):
        memory.write_bytes(damage)
        assert digests(files, memory) == wanted


def test_what_cannot_be_read_or_is_too_large_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "large").write_bytes(bytes(100))
    names = ["pipe", "link", "large", ".", "missing"]
    assert digests([tmp_path / name for name in names], most=99) == [None] * 5


def test_the_memory_is_of_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home on a shared folder serves machines whose devices and inodes mean other files."""
    settled(monkeypatch)
    file, settings = archive(tmp_path, 0)
    for _ in range(2):  # to decode, and to look at what was decoded
        opened(settings, tmp_path / "cache")
    names = read_files(monkeypatch)
    opened(settings, tmp_path / "cache")
    assert names == []
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("trials.data.store.platform.node", lambda: "another")
        opened(settings, tmp_path / "cache")
    assert names == [file.name, "images.npy"]
    opened(settings, tmp_path / "cache")
    assert len(names) == 2


def test_data_that_change_while_they_are_decoded_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings = archive(tmp_path, 0)
    read = Npz.read

    def replaced_meanwhile(self: Npz, files: Sequence[Path]) -> Reading:
        reading = read(self, files)
        whole = reading.blocks

        def blocks() -> Iterator[Block]:
            archive(tmp_path, 1)
            os.utime(tmp_path / "x.npz", LONG_AGO)
            yield from whole

        reading.blocks = blocks()
        return reading

    monkeypatch.setattr(Npz, "read", replaced_meanwhile)
    with pytest.raises(DataError, match=r"x\.npz changed while it was read; try again"):
        opened(settings, tmp_path / "cache")
    monkeypatch.undo()
    kept = [item.name for item in (tmp_path / "cache" / "data").iterdir() if item.is_dir()]
    assert kept == []
    after = opened(settings, tmp_path / "cache")
    assert np.array_equal(after.images.numpy()[:, 0], noise(1, 64, 8, 8))


def test_a_file_that_goes_on_changing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"0")
    sha256 = hashlib.sha256

    def growing(*given: bytes) -> Any:
        with file.open("ab") as stream:
            stream.write(b"0")
        return sha256(*given)

    monkeypatch.setattr(identity.hashlib, "sha256", growing)
    with pytest.raises(DataError, match="log changed while it was read"):
        digests([file])


def test_decoded_images_that_were_tampered_with_are_made_anew(tmp_path: Path) -> None:
    """Same size, same times, other pixels: what is trained on is what the hash says."""
    _, settings = archive(tmp_path, 0)
    before = opened(settings, tmp_path / "cache")
    (entry,) = (item for item in (tmp_path / "cache" / "data").iterdir() if item.is_dir())
    images = entry / "images.npy"
    facts = images.stat()
    data = bytearray(images.read_bytes())
    data[-100:] = bytes(100)
    images.write_bytes(data)
    os.utime(images, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    after = opened(settings, tmp_path / "cache")
    assert np.array_equal(after.images.numpy()[:, 0], noise(0, 64, 8, 8))
    assert after.fingerprint == before.fingerprint
    assert json.loads((entry / "entry.json").read_text())["fingerprint"] == before.fingerprint
