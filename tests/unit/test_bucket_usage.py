"""What a sweep takes in its bucket is counted seldom, waited for briefly and never in the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from sweeper.bucket import store, usage
from sweeper.bucket.place import keep_place
from sweeper.bucket.usage import PATIENCE, forget, published_by
from sweeper.cli.main import run
from sweeper.home import Home, SweepFolder
from sweeper.scheduling.recording.spec_files import keep_spec
from tests.unit.test_run_files import SWEEP

PLACE = "memory://bucket/study"
FILES = {
    "00000/commits/000001-000001-0a.000001.json": 40,
    "00000/files/000001-000001-0a.000001/checkpoint.safetensors": 5_000_000,
    "00000/files/000001-000001-0a.000001/previous_checkpoint.json": 1_000,
    "00000/files/000001-000001-0a.000001/generator.safetensors": 2_000_000,
    "00001/files/000001-000002-0b.000001/samples/000300.png": 30_000,
    "00001/files/000001-000002-0b.000001/log.txt": 60,
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SweepFolder]:
    """A sweep that has published these files."""
    folder = Home.at(tmp_path).sweep(SWEEP.name)
    folder.create()
    keep_spec(SWEEP, folder, None)
    keep_place(folder, PLACE)
    storage = fsspec.filesystem("memory")
    for key, size in FILES.items():
        storage.pipe_file(f"/bucket/study/{key}", bytes(size))
    yield folder
    storage.rm("/", recursive=True)


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something happen whenever the store is listed."""
    kind = type(fsspec.filesystem("memory"))
    find = kind.find

    def does(first: Callable[[], None]) -> None:
        def listed(*given: Any, **also: Any) -> Any:
            first()
            return find(*given, **also)

        monkeypatch.setattr(kind, "find", listed)

    monkeypatch.setattr(store, "FIRST_PAUSE", 2 * PATIENCE)  # nobody tries again
    return does


def away() -> None:
    raise ConnectionError("the network is gone")


def test_it_is_counted_by_kind_and_not_again_within_a_minute(
    folder: SweepFolder, listing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[None] = []
    listing(lambda: asked.append(None))
    first = published_by(folder)
    assert first is not None
    assert (first.files, first.total) == (6, sum(FILES.values()))
    assert (first.checkpoints, first.generators, first.samples) == (5_001_000, 2_000_000, 30_000)
    assert first.in_words() == (
        "7.03 MB: checkpoints 5 MB, generators 2 MB, samples 30 kB; 6 files at " + PLACE
    )
    assert published_by(folder) == first
    assert len(asked) == 1
    monkeypatch.setattr(usage, "HOLDS", 0.0)
    monkeypatch.setattr(usage, "TIMES", 0.0)
    assert published_by(folder) != first
    forget(folder)
    assert published_by(folder) is not None
    assert len(asked) == 3


def test_of_a_bucket_that_is_away_what_was_counted_before_is_told(
    folder: SweepFolder, listing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    published_by(folder)
    listing(away)
    monkeypatch.setattr(usage, "HOLDS", 0.0)
    monkeypatch.setattr(usage, "TIMES", 0.0)
    told = published_by(folder)
    assert told is not None
    assert told.files == 6
    assert f" s ago: cannot list {PLACE}: the network is gone" in told.in_words()


@pytest.mark.parametrize("content", [None, b"", b'{"files": 3}', b"\xff[["])
def test_without_a_count_a_bucket_that_is_away_is_in_nobodys_way(
    content: bytes | None,
    folder: SweepFolder,
    listing: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (folder.path / "bucket.count").write_bytes(content)
    listing(away)
    assert run(["status", SWEEP.name, "--home", str(folder.path.parent)]) == 0
    assert f"bucket   not known: cannot list {PLACE}: the network" in capsys.readouterr().out


def test_who_asks_waits_no_longer_than_that_and_the_next_one_has_it(
    folder: SweepFolder, listing: Callable[..., None]
) -> None:
    answers, asked = threading.Event(), []
    listing(lambda: (asked.append(None), answers.wait(60)))
    for _ in range(2):
        told = published_by(folder, patience=0.05)
        assert told is not None
        assert told.in_words() == "not known: no whole answer within 0.05 s"
    answers.set()
    found = published_by(folder)
    assert found is not None
    assert (found.files, len(asked)) == (6, 1)


def test_programs_are_told_of_a_bucket_where_there_is_one(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ["status", SWEEP.name, "--json", "--home", str(folder.path.parent)]
    assert run(verb) == 0
    told = json.loads(capsys.readouterr().out)["bucket"]
    assert (told["address"], told["files"], told["trouble"]) == (PLACE, 6, "")
    folder.bucket.unlink()
    assert run(verb) == 0
    assert json.loads(capsys.readouterr().out)["bucket"] is None
