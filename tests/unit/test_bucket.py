"""Trials' files in a bucket: a kill at any write of publishing leaves a commit that stands, whole,
and whoever goes on from it comes to the same numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import pytest
from fsspec.registry import known_implementations

from sweeper.bucket import place, publishing, store
from sweeper.bucket.commits import Commits
from sweeper.bucket.copies import (
    Copies,
    bring_all,
    give_up_published,
    is_drawn_from,
    published_in,
    trial_folder,
)
from sweeper.bucket.giving_up import give_up, given_up
from sweeper.bucket.place import check_bucket, check_place, given_bucket, keep_place
from sweeper.bucket.publishing import Publisher, amend
from sweeper.bucket.store import Store
from sweeper.errors import BucketAway, BucketError, UserError
from sweeper.home import Home, SweepFolder
from sweeper.retention import let_go_afar
from tests.fakes import FakeTraining
from tests.s3 import BUCKET, s3_server
from trials import temporary
from trials.errors import TakenOver

CONFIG = {"x": 0.7, "steps": 3}


class Killed(BaseException):
    """What no handler catches."""


@pytest.fixture
def memory() -> Iterator[str]:
    """An address in memory."""
    yield "memory://bucket/study"
    fsspec.filesystem("memory").rm("/", recursive=True)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address on an S3 server of this machine."""
    with s3_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield f"s3://{BUCKET}/study"
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def attempt(number: int) -> str:
    return f"000001-{number:06d}-{number:04x}"


def train(address: str, number: int, scratch: Path, steps: int = 99) -> FakeTraining:
    """One attempt in an empty folder, to its end or by so many steps."""
    scratch.mkdir()
    publisher = Publisher(Store(address, patience=0.0), attempt(number), scratch)
    publisher.take_up({"machine": f"machine {number}"})
    training = FakeTraining(CONFIG, scratch, scratch)
    training.restore()
    for _ in range(steps):
        if training.finished:
            break
        step = training.advance().step
        (scratch / "samples").mkdir(exist_ok=True)
        (scratch / "samples" / f"{step:06d}.png").write_bytes(b"picture of %d" % step)
        with (scratch / "log.txt").open("a") as log:
            log.write(f"step {step}\n")
        publisher.publish()
    return training


def numbers(training: FakeTraining) -> list[tuple[int, Any]]:
    return [(one.step, one.metrics) for one in training.history]


def whole(address: str) -> int:
    """The step of the commit that stands, all of whose files are as it says; 0 before the first."""
    bucket = Store(address, patience=0.0)
    standing = Commits(bucket).standing()
    if standing is None or not standing.commit.files:
        return 0
    for name, entry in standing.commit.files.items():
        content = bucket.read(entry.key)
        assert len(content) == entry.size, name
        assert hashlib.sha256(content).hexdigest() == entry.sha256, name
    files = standing.commit.files
    saved = json.loads(bucket.read(files["checkpoint.json"].key))
    pictures = sorted(name for name in files if name.startswith("samples/"))
    assert pictures == [f"samples/{one['step']:06d}.png" for one in saved["history"]]
    return int(saved["history"][-1]["step"])


def mortal(monkeypatch: pytest.MonkeyPatch, at: int, how: str) -> None:
    """The write of this number is never made, is made half where it can be, or is the last."""
    made = count(1)

    def patched(real: Callable[..., None]) -> Callable[..., None]:
        def write(self: Store, *given: Any) -> None:
            if next(made) != at:
                real(self, *given)
                return
            if how == "half" and real.__name__ == "remove":
                keys = list(given[0])
                real(self, keys[: len(keys) // 2])
            elif how == "after":
                real(self, *given)
            raise Killed

        return write

    for name in ("write", "send", "remove"):
        monkeypatch.setattr(Store, name, patched(getattr(Store, name)))


def killed_at_every_write(
    address: Callable[[int], str],
    folder: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    every: int = 1,
) -> int:
    """Kill an attempt at each of its writes, or at `every` third or so, and the one that goes on at
    its third; another one comes to the end. Returns how many writes there were at least."""
    folder.mkdir()
    plain = FakeTraining(CONFIG, folder, folder)
    while not plain.finished:
        plain.advance()
    for at in count(1, every):
        here = address(at)
        with monkeypatch.context() as patch:
            mortal(patch, at, how)
            with suppress(Killed):
                train(here, 1, folder / f"{at}-first")
                return at - 1
        stood = whole(here)
        with monkeypatch.context() as patch:
            mortal(patch, 3, how)
            with suppress(Killed):
                train(here, 2, folder / f"{at}-second")
        assert whole(here) >= stood
        third = train(here, 3, folder / f"{at}-third")
        assert numbers(third) == numbers(plain)
        assert third.state == plain.state
        assert whole(here) == CONFIG["steps"]
        kept = Commits(Store(here)).standing()
        assert kept is not None
        there = {key for key in Store(here).listed() if attempt(3) not in key}
        used = {entry.key for entry in kept.commit.files.values()}
        assert there <= used, "what the killed ones have left is gone"
    raise AssertionError


@pytest.mark.parametrize(
    ("kind", "how"),
    [("memory", "before"), ("memory", "half"), ("memory", "after"), ("file", "half")],
)
def test_a_kill_at_any_write_leaves_a_whole_commit_to_go_on_from(
    kind: str, how: str, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = memory if kind == "memory" else f"file://{tmp_path}/bucket"
    monkeypatch.setattr(publishing, "AT_ONCE", publishing.AT_ONCE if kind == "memory" else 4)
    writes = killed_at_every_write(lambda at: f"{root}/{at}", tmp_path / "trials", how, monkeypatch)
    assert writes >= 15


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_at_any_write_to_s3_does_too(
    every: int, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIG, "steps", 2)
    monkeypatch.setattr(publishing, "AT_ONCE", 4)  # so that files are sent from the disk as well
    folder = tmp_path / "trials"
    writes = killed_at_every_write(lambda at: f"{s3}/{at}", folder, "half", monkeypatch, every)
    assert writes >= 12
    check_bucket(s3)
    assert Store(s3, patience=0.0).listed(".check") == []
    (key, size), *_ = Store(s3, patience=0.0).sizes().items()
    assert size == len(Store(s3, patience=0.0).read(key)) > 0


def test_an_attempt_that_wakes_up_changes_nothing(memory: str, tmp_path: Path) -> None:
    frozen = Publisher(Store(memory), attempt(1), tmp_path / "a")
    (tmp_path / "a").mkdir()
    frozen.take_up({})
    (tmp_path / "a" / "checkpoint.json").write_text("first")
    frozen.publish()
    later = Publisher(Store(memory), attempt(2), tmp_path / "b")
    (tmp_path / "b").mkdir()
    later.take_up({})
    (tmp_path / "a" / "checkpoint.json").write_text("of the one that was frozen")
    with pytest.raises(TakenOver):
        frozen.publish()
    assert (tmp_path / "b" / "checkpoint.json").read_text() == "first"
    third = tmp_path / "c"
    third.mkdir()
    Publisher(Store(memory), attempt(3), third).take_up({})
    assert (third / "checkpoint.json").read_text() == "first"


def test_whoever_claims_in_the_middle_of_a_commit_goes_on_from_a_whole_one(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later attempt begins right before the removal of what only the earlier commit had."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    early = Publisher(Store(memory), attempt(1), first)
    early.take_up({})
    (first / "checkpoint.json").write_text("one")
    early.publish()
    (first / "checkpoint.json").write_text("two")
    late = Publisher(Store(memory), attempt(2), second)
    remove = Store.remove

    def meanwhile(self: Store, keys: Any) -> None:
        monkeypatch.setattr(Store, "remove", remove)
        late.take_up({})
        remove(self, keys)

    monkeypatch.setattr(Store, "remove", meanwhile)
    early.publish()
    assert (second / "checkpoint.json").read_text() == "two"
    (second / "log.txt").write_text("goes on")
    late.publish()
    third = tmp_path / "c"
    third.mkdir()
    Publisher(Store(memory), attempt(3), third).take_up({})
    assert {file.name for file in third.iterdir()} == {"checkpoint.json", "log.txt"}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_folder_that_has_gone_is_not_published(
    when: str, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another machine may remove it that takes it for a dead one's."""
    scratch = temporary.temporary_for(tmp_path / "00000") / "00000"
    scratch.mkdir(parents=True)
    publisher = Publisher(Store(memory), attempt(1), scratch)
    publisher.take_up({})
    for file in ("checkpoint.pt", "log.txt"):
        (scratch / file).write_text("one")
        (scratch / f"in/{file}").parent.mkdir(exist_ok=True)
        (scratch / f"in/{file}").write_text("one")
    publisher.publish()
    whole = Commits(Store(memory)).standing()
    (scratch / "checkpoint.pt").write_text("two")
    if when == "before":
        temporary._remove(scratch.parent)
    else:
        sent = Store.write
        monkeypatch.setattr(
            Store, "write", lambda *given: (temporary._remove(scratch.parent), sent(*given))
        )
    with pytest.raises(FileNotFoundError, match="not published, as the folder has gone"):
        publisher.publish()
    assert Commits(Store(memory)).standing() == whole
    assert list(tmp_path.iterdir()) == []


def keys_written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are written from now on, in order."""
    keys: list[str] = []
    write = Store.write
    monkeypatch.setattr(Store, "write", lambda *given: (keys.append(given[1]), write(*given)))
    return keys


def test_only_what_has_changed_is_sent(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = keys_written(monkeypatch)
    publisher = Publisher(Store(memory), attempt(1), tmp_path)
    publisher.take_up({})
    (tmp_path / "checkpoint.pt").write_bytes(b"one")
    (tmp_path / "config.json").write_bytes(b"{}")
    publisher.publish()
    (tmp_path / "previous_checkpoint.pt").hardlink_to(tmp_path / "checkpoint.pt")
    (tmp_path / "checkpoint.pt").unlink()
    (tmp_path / "checkpoint.pt").write_bytes(b"two")
    sent.clear()
    publisher.publish()
    assert [key.rpartition("/")[2] for key in sent] == [
        "checkpoint.pt", f"{attempt(1)}.000003.json",
    ]  # fmt: skip
    sent.clear()
    publisher.publish()
    assert sent == []


class Flaky:
    """A storage that fails so many times at each thing it is asked."""

    def __init__(self, storage: Any, error: Exception, times: int) -> None:
        self._storage, self._error, self._times, self._asked = storage, error, times, {}

    def __getattr__(self, name: str) -> Any:
        def asked(*given: Any, **also: Any) -> Any:
            self._asked[name] = self._asked.get(name, 0) + 1
            if self._asked[name] <= self._times:
                raise self._error
            return getattr(self._storage, name)(*given, **also)

        return asked


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting takes no time; the list has every wait."""
    waits: list[float] = []
    monkeypatch.setattr(store.time, "sleep", waits.append)
    monkeypatch.setattr(store.time, "monotonic", lambda: sum(waits))
    return waits


@pytest.mark.parametrize("error", [TimeoutError("read"), OSError(16, "reduce your request rate")])
def test_what_is_the_networks_fault_is_tried_again_for_a_while(
    error: Exception, memory: str, clock: list[float]
) -> None:
    bucket = Store(memory)
    bucket.write("a", b"content")
    bucket._opened = Flaky(bucket._storage, error, 6), bucket._root  # type: ignore[misc]
    assert bucket.read("a") == b"content"
    assert clock == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0]
    clock.clear()
    bucket._opened = Flaky(bucket._storage, error, 99), bucket._root  # type: ignore[misc]
    with pytest.raises(BucketAway, match=r"cannot write b in memory://bucket/study: "):
        bucket.write("b", b"content")
    assert 60 < sum(clock) <= store.PATIENCE


def test_what_came_there_by_a_try_whose_answer_was_lost_is_there(
    memory: str, tmp_path: Path, clock: list[float]
) -> None:
    bucket, file = Store(memory), tmp_path / "generator.pt"
    file.write_bytes(b"weights")

    class Azure:
        answers = iter([TimeoutError("the answer"), FileExistsError("The specified blob exists.")])

        def put_file(self, path: str, key: str) -> None:
            raise next(self.answers)

    bucket._opened = Azure(), bucket._root  # type: ignore[misc]
    bucket.send(file, "files/generator.pt")
    assert clock == [0.5]


def test_a_refusal_is_told_at_once(memory: str, clock: list[float]) -> None:
    bucket = Store(memory)
    bucket.write("a", b"content")
    refused = PermissionError("Access Denied")
    bucket._opened = Flaky(bucket._storage, refused, 1), bucket._root  # type: ignore[misc]
    with pytest.raises(BucketError, match=r"cannot read a in .*Access Denied") as caught:
        bucket.read("a")
    assert not isinstance(caught.value, BucketAway)
    assert clock == []


def test_what_is_not_as_it_was_published_is_refused(memory: str, tmp_path: Path) -> None:
    train(memory, 1, tmp_path / "first", steps=1)
    [key] = [key for key in Store(memory).listed() if key.endswith("checkpoint.json")]
    Store(memory).write(key, b"{}" + b" " * 9)
    with pytest.raises(BucketError, match=r"checkpoint\.json is not what was published"):
        train(memory, 2, tmp_path / "second")
    assert not (tmp_path / "second" / "checkpoint.json").exists()


def test_a_commit_that_is_cut_off_does_not_stand(memory: str, tmp_path: Path) -> None:
    train(memory, 1, tmp_path / "first", steps=1)
    Store(memory).write(f"commits/{attempt(1)}.000009.json", b'{"files": {"checkpoint.js')
    assert whole(memory) == 1


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", ".attempt-x/a"])
def test_a_commit_whose_names_lead_elsewhere_is_none(
    name: str, memory: str, tmp_path: Path
) -> None:
    entry = {"key": "files/a", "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    Store(memory).write("files/a", b"x")
    commit = json.dumps({"files": {name: entry}}).encode()
    Store(memory).write(f"commits/{attempt(1)}.000001.json", commit)
    with pytest.raises(BucketError, match=r"000001\.json is no commit: "):
        train(memory, 2, tmp_path / "second")


# Whoever reads


@pytest.fixture
def sweep(memory: str, tmp_path: Path) -> SweepFolder:
    """A sweep two of whose trials have published."""
    folder = Home.at(tmp_path / "home").sweep("probe")
    folder.create()
    keep_place(folder, memory)
    for number in (0, 1):
        train(f"{memory}/{number:05d}", 1, tmp_path / f"scratch {number}", steps=2)
    return folder


def test_a_reader_has_what_was_published_last_and_nothing_twice(
    memory: str, sweep: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, asked = Copies(sweep, memory), count()
    assert copies.changed() == [0, 1]
    come = copies.bring(0)
    assert come == {"log.txt", "samples/000001.png", "samples/000002.png", "trained"}
    assert (sweep.trial(0) / "samples/000002.png").read_bytes() == b"picture of 2"
    assert not (sweep.trial(0) / "checkpoint.json").exists(), "who only reads needs none"
    assert published_in(sweep.trial(0))["checkpoint.json"] > 0
    monkeypatch.setattr(Store, "fetch", lambda *given: next(asked))
    assert copies.bring(0) == set()
    assert next(asked) == 0
    assert copies.changed() == [1]
    monkeypatch.undo()
    bring_all(sweep)
    assert (sweep.trial(1) / "log.txt").read_text() == "step 1\nstep 2\n"
    assert copies.changed() == []


def test_what_is_let_go_of_in_the_bucket_is_gone_for_readers(
    memory: str, sweep: SweepFolder
) -> None:
    trial = trial_folder(sweep, 0, is_drawn_from)
    commits = Copies(sweep, memory).commits(0)
    gone = {"checkpoint.json", "samples/000001.png"}
    amend(commits.store, attempt(1), without=gone, plus={"let_go.json": b"{}"})
    Copies(sweep, memory).bring(0)
    assert not (trial / "samples/000001.png").exists()
    assert (trial / "let_go.json").read_bytes() == b"{}"
    assert published_in(trial).keys() == {
        "let_go.json", "log.txt", "samples/000002.png", "trained",
    }  # fmt: skip
    assert not [key for key in commits.store.listed() if key.endswith("checkpoint.json")]


def test_what_comes_here_with_a_letting_go_is_told(memory: str, sweep: SweepFolder) -> None:
    copies = Copies(sweep, memory)
    copies.bring(0)
    give_up_published(sweep.trial(0), ["checkpoint.json"])
    (sweep.trial(0) / "samples/000002.png").unlink()
    come: dict[int, set[str]] = {}
    let_go_afar(sweep, copies, come.__setitem__)
    assert "samples/000002.png" in come[0]


def test_what_is_given_up_bit_by_bit_uses_no_key_twice(
    memory: str, sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = keys_written(monkeypatch)
    copies, trial = Copies(sweep, memory), sweep.trial(0)
    copies.bring(0)
    give_up(trial, ["checkpoint.json"], attempt(1))
    give_up(trial, ["samples/000001.png"], attempt(1))
    let_go_afar(sweep, copies)
    assert [key for key in written if key.endswith(".claim")] == [f"commits/{attempt(1)}f.claim"]
    give_up(trial, ["samples/000002.png"], attempt(1))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "remove", mock.Mock(side_effect=Killed))
        with pytest.raises(Killed):
            let_go_afar(sweep, copies)
    let_go_afar(sweep, copies)
    give_up(trial, ["trained"], attempt(1))
    let_go_afar(sweep, copies)
    assert len(written) == len(set(written)) == 11
    assert given_up(sweep) == []
    assert published_in(trial).keys() == {"log.txt"}
    left = {Path(key).name for key in copies.commits(0).store.listed("files")}
    assert left == {"log.txt"}


def test_a_trial_that_is_tried_again_keeps_what_was_given_up(
    memory: str, sweep: SweepFolder, tmp_path: Path
) -> None:
    copies = Copies(sweep, memory)
    copies.bring(0)
    give_up_published(sweep.trial(0), ["checkpoint.json"])
    assert "checkpoint.json" not in published_in(sweep.trial(0))
    again = train(f"{memory}/00000", 2, tmp_path / "again", steps=1)
    let_go_afar(sweep, copies)
    assert given_up(sweep) == []
    copies.bring(0)
    assert "checkpoint.json" in published_in(sweep.trial(0))
    assert again.step == whole(f"{memory}/00000") == 3


def test_one_listing_is_enough_for_a_sweep_of_many_trials(
    memory: str, sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = fsspec.filesystem("memory")
    for number in range(100, 400):
        key = f"/bucket/study/{number:05d}/commits/{attempt(1)}.000001.json"
        storage.pipe_file(key, b'{"files": {}}')
    asked = count()
    find = type(storage).find
    monkeypatch.setattr(
        type(storage), "find", lambda *given, **also: (next(asked), find(*given, **also))[1]
    )
    assert len(Copies(sweep, memory).changed()) == 302
    assert next(asked) == 1


# The setting


def test_what_is_no_bucket_is_told_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Home.at(tmp_path).sweep("probe")
    for given, told in {
        "s4://bucket": "'s4://bucket', which is not a bucket's address; expected one of s3://, gs",
        "/shared/sweeps": "not a bucket's address; expected one of s3://, gs://, az://, file://",
        "hf://datasets/me": "expected one of s3://",
        "file://bucket/sweeps": "'file://bucket/sweeps', which is .* az://, file:/// and a place",
        "s3://key:word@bucket/a": r"'s3://key:\*\*\*@bucket/a', which holds a secret",
        f"file://{tmp_path}/file/below": "trials cannot publish in file://.*Not a directory",
    }.items():
        (tmp_path / "file").touch()
        monkeypatch.setenv(place.BUCKET_VARIABLE, given)
        with pytest.raises(UserError, match=told):
            check_place(sweep)
    monkeypatch.setenv(place.BUCKET_VARIABLE, f"file://{tmp_path}/bucket/")
    assert given_bucket() == f"file://{tmp_path}/bucket"
    assert check_place(sweep) == f"file://{tmp_path}/bucket"
    assert list((tmp_path / "bucket").rglob("written")) == []


def test_a_lacking_extra_is_named_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = {"class": "not_there.Gcs", "err": "not installed"}
    monkeypatch.setitem(known_implementations, "gs", absent)
    monkeypatch.setenv(place.BUCKET_VARIABLE, "gs://bucket/sweeps")
    with pytest.raises(UserError, match=r"pip install 'gan-sweeper\[gs\]'"):
        check_place(Home.at(tmp_path).sweep("probe"))


def test_a_sweep_that_began_at_home_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Home.at(tmp_path).sweep("probe")
    sweep.create()
    sweep.spec_json.write_text("{}")
    monkeypatch.setenv(place.BUCKET_VARIABLE, "s3://nobody/asks")
    assert check_place(sweep) == ""
