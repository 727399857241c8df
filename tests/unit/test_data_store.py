"""The cache of decoded images, under kills, races, damage and full disks."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trials.data import open_data
from trials.data import store as store_module
from trials.data.content import Block, Reading
from trials.data.sources.npz import Npz
from trials.errors import DataError

# The children of these tests only decode and die.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def source(tmp_path: Path) -> Npz.Config:
    return written(tmp_path / "a.npz")


def written(path: Path, seed: int = 0, count: int = 3000) -> Npz.Config:
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(count) % 10)
    return Npz.Config(path=path)


def wanted(source: Npz.Config) -> torch.Tensor:
    with np.load(source.path) as archive:
        return torch.from_numpy(archive["images"][:, None])


def entries(cache: Path) -> list[Path]:
    return [item for item in (cache / "data").iterdir() if item.is_dir()]


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one each time the source is read."""
    calls: list[int] = []
    read = Npz.read

    def counted(self: Npz, files: Sequence[Path]) -> Reading:
        calls.append(1)
        return read(self, files)

    monkeypatch.setattr(Npz, "read", counted)
    return calls


def test_images_are_decoded_once_and_mapped_ever_after(
    source: Npz.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = decodings(monkeypatch)
    first, second = (open_data(source, cache=tmp_path / "cache") for _ in range(2))
    assert len(calls) == 1
    assert torch.equal(first.images, wanted(source))
    assert torch.equal(first.images, second.images)
    assert first.describe() == second.describe()
    # Changing mapped data, which nobody should, stays in this process.
    second.images.fill_(0)
    assert torch.equal(open_data(source, cache=tmp_path / "cache").images, wanted(source))


def test_files_and_options_that_change_are_decoded_again(
    source: Npz.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = decodings(monkeypatch)
    cache = tmp_path / "cache"
    open_data(source, cache=cache)
    assert open_data(source.model_copy(update={"size": 16}), cache=cache).shape == (1, 16, 16)
    open_data(source.model_copy(update={"holdout": 0.1}), cache=cache)
    assert len(calls) == 3
    open_data(source.model_copy(update={"flip": True}), cache=cache)
    assert len(calls) == 3, "mirroring happens in the batch"
    os.utime(source.path, ns=(0, 0))
    open_data(source, cache=cache)
    assert len(calls) == 3, "it holds what it held"
    written(source.path, seed=1)
    open_data(source, cache=cache)
    assert len(calls) == 4


def test_a_cache_that_was_moved_or_copied_still_serves(
    source: Npz.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_data(source, cache=tmp_path / "cache")
    shutil.copytree(tmp_path / "cache", tmp_path / "copy")
    calls = decodings(monkeypatch)
    assert torch.equal(open_data(source, cache=tmp_path / "copy").images, wanted(source))
    assert not calls


def _open_slowly(source: Npz.Config, cache: Path) -> None:
    """In a child: decode one block, then wait for the end."""
    read = Npz.read

    def stuck(self: Npz, files: Sequence[Path]) -> Reading:
        reading = read(self, files)
        whole = reading.blocks

        def blocks() -> Iterator[Block]:
            yield from whole
            (cache / "reached").touch()
            time.sleep(60)

        reading.blocks = blocks()
        return reading

    Npz.read = stuck  # type: ignore[method-assign]
    open_data(source, cache=cache)


def test_a_process_killed_while_decoding_leaves_nothing_that_is_trusted(
    source: Npz.Config, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    child = FORK.Process(target=_open_slowly, args=(source, cache))
    child.start()
    deadline = time.monotonic() + 30
    while not (cache / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    (left,) = entries(cache)
    assert left.name.startswith(".")

    data = open_data(source, cache=cache)
    assert torch.equal(data.images, wanted(source))
    assert data.fingerprint == open_data(source).fingerprint
    assert left.exists(), "it may be another's, still at work"
    os.utime(left, (0, 0))
    open_data(source.model_copy(update={"size": 16}), cache=cache)
    assert not left.exists()
    assert len(entries(cache)) == 2


def _open_together(source: Npz.Config, cache: Path, barrier: Any, answers: Any) -> None:
    """In a child, on a file system without locks: finish decoding at the same moment."""

    def no_locks(*_: object) -> None:
        raise OSError("no locks here")

    publish = store_module._publish

    def together(built: Path, entry: Path) -> None:
        barrier.wait(timeout=30)
        publish(built, entry)

    fcntl.flock = no_locks  # type: ignore[assignment]
    store_module._publish = together
    data = open_data(source, cache=cache)
    answers.put((data.fingerprint, int(data.images.long().sum())))


def test_two_processes_that_decode_at_once_do_no_harm(source: Npz.Config, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    barrier, answers = FORK.Barrier(3), FORK.Queue()
    children = [
        FORK.Process(target=_open_together, args=(source, cache, barrier, answers))
        for _ in range(3)
    ]
    for child in children:
        child.start()
    found = {answers.get(timeout=30) for _ in children}
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    whole = open_data(source)
    assert found == {(whole.fingerprint, int(whole.images.long().sum()))}
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("harm", ["cut", "longer", "gone", "garbled", "other", "bits"])
def test_a_damaged_entry_is_built_anew(source: Npz.Config, tmp_path: Path, harm: str) -> None:
    cache = tmp_path / "cache"
    source = source.model_copy(update={"holdout": 0.2})
    before = open_data(source, cache=cache)
    (entry,) = entries(cache)
    if harm == "cut":
        os.truncate(entry / "images.npy", 5000)
    elif harm == "longer":
        with (entry / "labels.npy").open("ab") as file:
            file.write(b"0")
    elif harm == "gone":
        (entry / "held_out.npy").unlink()
    elif harm == "other":
        (entry / "entry.json").write_text("[]")
    elif harm == "bits":
        whole = bytearray((entry / "images.npy").read_bytes())
        whole[whole.index(b"}")] = ord("_")  # where the header's dictionary ends
        (entry / "images.npy").write_bytes(whole)
    else:
        (entry / "entry.json").write_text("{")
    after = open_data(source, cache=cache)
    assert after.fingerprint == before.fingerprint
    assert torch.equal(after.images, open_data(source).images)
    assert len(entries(cache)) == 1


def test_a_full_disk_is_a_clear_stop_that_leaves_nothing(
    source: Npz.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DataError, match=r"decoded images cannot be written to .*cache"):
            open_data(source, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries(cache) == []

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"3000 images of shape \(1, 8, 8\) needs .* are free"):
        open_data(source, cache=cache)


def test_a_cache_that_cannot_be_made_is_named(source: Npz.Config, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"the cache .*cache/data cannot be made"):
        open_data(source, cache=tmp_path / "cache")


def test_without_a_cache_no_file_is_left(
    source: Npz.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    data = open_data(source)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert torch.equal(data.images, wanted(source))
