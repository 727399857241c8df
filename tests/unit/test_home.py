"""The home folder: names that stay inside, one driver a sweep, writes that survive a crash."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import SweepBusy, UnknownSweep, UserError
from sweeper.home import Home, Request
from sweeper.locks import can_lock
from sweeper.scheduling.conducting.requests import Requests
from sweeper.scheduling.conducting.steering import Steering
from trials.files import atomic_write

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from sweeper.home import SweepFolder
with SweepFolder(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", ".hidden", "-x", "a b", "a\n", "é", "cache", "a\0"]
)
def test_a_name_that_could_leave_the_home_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a sweep"):
        Home.at(tmp_path).sweep(name)


def test_an_unknown_sweep_is_answered_with_those_there_are(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    folder = home.sweep("first")
    folder.create()
    atomic_write(folder.spec_json, "{}")
    assert home.names() == ["first"]
    assert home.existing("first") == folder
    with pytest.raises(UnknownSweep, match="there are: first"):
        home.existing("second")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "empty"),
        ("file", "file is not a folder"),
        ("file/below", "file is not"),
        ("\udcff", "UTF-8"),
        ("~nobody-of-this-name/sweeps", "no such user as ~nobody-of-this-name"),
    ],
)
def test_what_can_be_no_home_is_refused(
    path: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        Home.at(path)


def test_the_environment_names_the_home_unless_a_path_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_HOME", raising=False)
    assert Home.at().path == tmp_path / "sweeps"
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path / "elsewhere"))
    assert Home.at().path == tmp_path / "elsewhere"
    assert Home.at("given").path == tmp_path / "given"


def test_a_second_driver_is_told_the_pid_of_the_first_and_death_frees_the_lock(
    tmp_path: Path,
) -> None:
    folder = Home.at(tmp_path).sweep("one")
    folder.create()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(folder.path)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(SweepBusy, match=f"process {first.pid}") as caught, folder.lock():
            pass
        assert caught.value.pid == folder.driver() == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert folder.driver() is None
    with folder.lock():
        assert folder.driver() == os.getpid()
    assert folder.driver() is None


def test_who_looks_for_the_driver_asks_for_no_lock_that_nfs_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def nfs(descriptor: int, operation: int) -> None:
        """As Linux's NFS client has it: flock(2), "NFS details"."""
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and mode == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", nfs)
    folder = Home.at(tmp_path).sweep("one")
    with folder.lock():
        assert folder.driver() == os.getpid()
    assert folder.driver() is None


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_refused_in_words_and_may_be_read(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Home.at(tmp_path).sweep("one")
    with folder.lock():
        pass

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(UserError, match=r"^the home is on a file system without locks \("),
        folder.lock(),
    ):
        pass
    assert folder.driver() is None
    assert not can_lock(tmp_path)


def test_the_last_request_of_an_operator_counts(tmp_path: Path) -> None:
    folder = Home.at(tmp_path).sweep("one")
    folder.create()
    assert folder.asked() is None
    folder.ask(Request.PAUSE)
    folder.ask(Request.STOP)
    assert folder.asked() is Request.STOP
    folder.clear_request()
    folder.clear_request()
    assert folder.asked() is None
    folder.control.write_text("dance")
    with pytest.raises(UserError, match="pause, stop, cancel"):
        folder.asked()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_was_ignored_when_a_sweep_began_is_not_heard(
    number: signal.Signals, tmp_path: Path
) -> None:
    asked = Requests(Steering(Home.at(tmp_path).sweep("one")))
    before = signal.signal(number, signal.SIG_IGN)  # as nohup has it, and `sweeper run &`
    try:
        with asked.listening():
            asked.listen()  # again, after Ray
            signal.raise_signal(number)
        assert asked.asked_so_far == (0, None)
        assert signal.getsignal(number) is signal.SIG_IGN
        signal.signal(number, lambda *given: None)
        with asked.listening():
            signal.raise_signal(number)
        assert any(asked.asked_so_far)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("garbled", [True, False])
def test_a_request_that_cannot_be_read_ends_no_sweep_that_runs(
    garbled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Home.at(tmp_path).sweep("one")
    folder.create()
    folder.control.write_text("dance" if garbled else "stop")

    def refuse(*given: object, **named: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        if not garbled:  # as one that root has left there
            patched.setattr(Path, "read_bytes", refuse)
        assert Requests(Steering(folder)).written() is None
    folder.ask(Request.STOP)
    assert Requests(Steering(folder)).written() is Request.STOP


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spec.json"
    atomic_write(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            atomic_write(path, b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["spec.json"]
    atomic_write(path, b"new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "name", ["cache", "service.db-journal", "mlflow.db", "mlflow.db-journal", "MLFLOW.DB"]
)
def test_a_name_that_all_sweeps_share_is_told_to_be_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"'{name}' cannot name a sweep: every home uses"):
        Home.at(tmp_path).sweep(name)


def test_a_misspelt_sweep_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    for name in ("ablation", "quickstart"):
        home.sweep(name).create()
        home.sweep(name).spec_json.touch()
    with pytest.raises(UnknownSweep, match="did you mean 'quickstart'"):
        home.existing("quickstrat")


def test_a_home_says_how_to_name_it_in_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWEEPER_HOME", raising=False)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert Home.at(tmp_path / "my sweeps").flag == f" --home '{tmp_path}/my sweeps'"
    gone.rmdir()  # under a sweep of days
    assert Home.at(tmp_path / "my sweeps").flag == f" --home '{tmp_path}/my sweeps'"
    with pytest.raises(UserError, match="sweeps lies in the current folder, which has been"):
        Home.at()
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path))
    assert Home.at(tmp_path).flag == ""
