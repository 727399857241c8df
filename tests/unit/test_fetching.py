"""What lies at an address is fetched once, whole, and checked; a kill leaves nothing half."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.registry import known_implementations

from sweeper.sweepfile.absolute import with_absolute_paths
from trials import fetching, urls
from trials.config import load_config, problems_of
from trials.data import check_given, open_data
from trials.data.opening import read_data
from trials.data.sources.npz import Npz
from trials.fetching import FetchError, fetched, fetched_folder
from trials.metrics.extractor import read_weights
from trials.urls import Url, read_path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A storage in memory whose addresses are read, and a folder for what is fetched."""
    monkeypatch.setenv(fetching.FOLDER_VARIABLE, str(tmp_path / "fetched"))
    monkeypatch.setattr(urls, "SCHEMES", (*urls.SCHEMES, "memory"))
    monkeypatch.setattr(fetching, "_here", {})
    storage = fsspec.filesystem("memory")
    yield storage
    storage.rm("/", recursive=True)


def forget() -> None:
    """Another process would know nothing."""
    fetching._here.clear()


def given(store: Any, name: str, content: bytes) -> Url:
    store.pipe(f"/{name}", content)
    return Url(f"memory://{name}")


def test_an_address_prints_as_it_was_written() -> None:
    for text in ("s3://bucket/faces.npz", "hf://datasets/me/faces/*.parquet", "gs://b/a/b"):
        assert str(read_path(text)) == text
        assert os.fspath(read_path(text)) == text
    assert read_path("file:///data/faces.npz") == Path("/data/faces.npz")
    assert read_path("faces.npz") == "faces.npz"


def test_what_is_read_from_is_told_where_an_address_is_of_another_kind() -> None:
    [problem] = problems_of({"data": {"name": "npz", "path": "ftp://host/faces.npz"}})
    assert problem.path == "data.path"
    assert "ftp:// is not read; expected a path, or one of s3://, gs://" in str(problem)


def test_a_lacking_storage_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"class": "not_there.Gcs", "err": "not installed"}
    monkeypatch.setitem(known_implementations, "gs", absent)
    [problem] = check_given({"name": "npz", "path": "gs://bucket/faces.npz"})
    assert problem.path == "data.path"
    assert "pip install 'gan-sweeper[gs]'" in str(problem)


def test_it_is_fetched_once_and_again_where_it_has_changed(store: Any) -> None:
    url = given(store, "faces.bin", b"first")
    path = fetched(url)
    assert (path.name, path.read_bytes()) == ("faces.bin", b"first")
    assert fetched_folder() in path.parents
    inode = path.stat().st_ino
    forget()
    assert fetched(url).stat().st_ino == inode
    store.pipe("/faces.bin", b"other")
    forget()
    assert fetched(url).read_bytes() == b"other"
    assert path.read_bytes() == b"first", "who reads it still goes on reading it"


def test_a_folder_is_listed_once_and_a_pattern_names_some_of_it(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x.png", "a/y.png", "b/z.png", "notes.txt"):
        given(store, f"faces/{name}", name.encode())
    listed, find = [], store.find

    def listing(self: Any, place: str, **options: Any) -> Any:
        listed.append(place)
        return find(place, **options)

    monkeypatch.setattr(type(store), "find", listing)
    folder = fetched(Url("memory://faces"))
    assert len(listed) == 2, "before and after"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "a/x.png", "a/y.png", "b/z.png", "notes.txt",
    ]  # fmt: skip
    pattern = fetched(Url("memory://faces/a/*.png"))
    assert sorted(path.name for path in pattern.parent.glob(pattern.name)) == ["x.png", "y.png"]


def test_what_was_changed_here_is_fetched_again(store: Any) -> None:
    url = given(store, "faces.bin", b"whole")
    path = fetched(url)
    os.utime(path, (1, 1))
    forget()
    assert fetched(url).stat().st_mtime == 1, "its hash is right"
    path.write_bytes(b"wrong")
    forget()
    assert fetched(url).read_bytes() == b"whole"


def test_a_storage_that_is_away_leaves_what_was_fetched(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = given(store, "faces.bin", b"whole")
    fetched(url)
    forget()

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(type(store), "info", away)
    assert fetched(url).read_bytes() == b"whole"
    with pytest.raises(FetchError, match=r"memory://other.bin cannot be read: .*no route to host"):
        fetched(Url("memory://other.bin"))


@pytest.mark.parametrize("wrong", [{"size": 4}, {"md5Hash": "AAAA"}, {"lfs": {"sha256": "0" * 64}}])
def test_what_comes_is_what_the_storage_says_of_it(
    wrong: dict[str, Any], store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = given(store, "faces.bin", b"whole")
    info = store.info
    monkeypatch.setattr(type(store), "info", lambda self, path, **_: info(path) | wrong)
    with pytest.raises(FetchError, match="is not what lies there"):
        fetched(url)
    assert not list(fetched_folder().rglob("*.bin"))


def test_nothing_lies_at_an_address(store: Any) -> None:
    [problem] = check_given({"name": "npz", "path": "memory://nothing.npz"})
    assert (problem.path, problem.message) == (
        "data.path", "there is nothing at memory://nothing.npz",
    )  # fmt: skip


def test_a_folder_of_many_files_is_listed_in_one_request(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        store.pipe(f"/faces/{number % 10}/{number:05d}.png", b"%d" % number)
    asked: list[str] = []
    for name in ("find", "ls", "walk", "glob", "info"):
        real = getattr(type(store), name)

        def counted(
            *given: Any, _name: str = name, _real: Callable[..., Any] = real, **also: Any
        ) -> Any:
            if sys._getframe(1).f_globals["__name__"] == fetching.__name__:
                asked.append(_name)
            return _real(*given, **also)

        monkeypatch.setattr(type(store), name, counted)
    assert len(list(fetched(Url("memory://faces")).rglob("*.png"))) == 300
    assert asked == ["info", "find"] * 2, "before, and once more: did they change meanwhile?"
    forget()
    fetched(Url("memory://faces"))
    assert asked == ["info", "find"] * 3


KILLED = """
import fsspec, json, os, signal, sys
from pathlib import Path
from trials import fetching, urls

class Folder(fsspec.get_filesystem_class("file")):
    protocol = "s3"
    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("s3://", "/"))

def count(event, arguments):
    if event in ("open", "os.rename", "os.mkdir", "os.rmdir") and "fetched" in str(arguments[0]):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

fsspec.register_implementation("s3", Folder, clobber=True)
for left in range(1, 100):
    child = os.fork()
    if child == 0:
        sys.addaudithook(count)
        fetching.fetched(urls.Url("s3://" + sys.argv[1].lstrip("/")))
        os._exit(0)
    ending = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    there = fetching.fetched_folder().glob("[!.]*/manifest.json")
    held = [{p.name: p.read_text() for p in m.parent.glob("content/there/*")} for m in there]
    print(json.dumps([ending, held]))
    if ending == 0:
        break
"""


def test_a_kill_at_any_write_leaves_nothing_half(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    whole = {"a": "a" * 1000, "b": "b" * 1000}
    for name, content in whole.items():
        (there / name).write_text(content)
    environment = {**os.environ, fetching.FOLDER_VARIABLE: str(tmp_path / "fetched")}
    command = [sys.executable, "-c", KILLED, str(there)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *kills, last = map(json.loads, done.stdout.splitlines())
    assert len(kills) >= 8
    assert {ending for ending, _ in kills} == {-signal.SIGKILL}
    assert all(held in ([], [whole]) for _, held in kills)
    assert last == [0, [whole]]
    left = {path.name.partition(".")[2] for path in (tmp_path / "fetched").iterdir()}
    assert left == {"", "lock"}, "what the killed ones had begun is gone"


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    file = tmp_path / "faces.npz"
    settings = Npz.example(tmp_path, 0)
    content = Path(settings["path"]).read_bytes()
    file.unlink(missing_ok=True)
    return content


def test_data_at_an_address_are_those_of_the_file(
    store: Any, archive: bytes, tmp_path: Path
) -> None:
    url = given(store, "sets/faces.npz", archive)
    (tmp_path / "faces.npz").write_bytes(archive)
    here = read_data({"name": "npz", "path": str(tmp_path / "faces.npz")})
    there = read_data({"name": "npz", "path": str(url)})
    assert there.as_dict()["path"] == str(url)
    cache = tmp_path / "cache"
    first, second = open_data(here, cache=cache), open_data(there, cache=cache)
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.images, second.images)


def test_a_configuration_keeps_its_address(store: Any, archive: bytes) -> None:
    url = given(store, "faces.npz", archive)
    raw = {"data": {"name": "npz", "path": str(url)}}
    assert with_absolute_paths(raw) == raw
    config = load_config(raw)
    assert config.as_dict()["data"]["path"] == str(url)
    assert load_config(config.as_dict()).fingerprint() == config.fingerprint()
    assert config.shape() == (3, 16, 16)


def test_weights_at_an_address_are_read(store: Any) -> None:
    url = given(store, "weights.pt", b"weights")
    assert read_weights(url).data == b"weights"
