"""What a home holds is its owner's or its group's; what killed processes left is cleared away."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeper.home import Home, Request
from sweeper.permissions import PRIVATE, SHARED, private, umask_of
from sweeper.results import dataset_of
from sweeper.scheduling import run as run_module
from sweeper.search.looking import sweep_of
from sweeper.tracking.store import Store
from trials import temporary
from trials.files import atomic_write
from trials.temporary import remove_leftovers, temporary_for


@pytest.fixture(autouse=True)
def generous() -> object:
    """The umask of an account that keeps nothing from anybody."""
    kept = os.umask(0)
    yield
    os.umask(kept)


def modes(home: Path) -> dict[str, int]:
    return {
        str(path.relative_to(home)): stat.S_IMODE(path.lstat().st_mode)
        for path in sorted(home.rglob("*"))
    }


@pytest.mark.parametrize(
    ("mode", "umask"),
    [
        (None, PRIVATE),
        (0o700, PRIVATE),
        (0o755, PRIVATE),  # as any folder that was made by hand
        (0o777, PRIVATE),  # everybody's: no group is meant
        (0o1777, PRIVATE),
        (0o770, SHARED),
        (0o775, SHARED),
        (0o2750, SHARED),
        (0o2777, SHARED),
    ],
)
def test_the_mode_of_the_folder_says_whether_a_home_is_shared(
    mode: int | None, umask: int, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    if mode is not None:
        home.mkdir()
        home.chmod(mode)
    assert umask_of(home) == umask
    with private(home):
        assert os.umask(umask) == umask
    assert os.umask(0) == 0


@pytest.mark.parametrize(
    ("shared", "file", "folder"), [(False, 0o600, 0o700), (True, 0o660, 0o770)]
)
def test_whatever_a_command_makes_in_a_home_is_private_or_the_groups(
    shared: bool, file: int, folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.test_run_files import ONE, SWEEP

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.at(tmp_path / "home")
    if shared:
        home.path.mkdir()
        home.path.chmod(0o2770)

    def through(this: object) -> None:
        """In place of the trials: what driver, worker and writer make besides."""
        sweep = home.sweep(SWEEP.name)
        atomic_write(sweep.trial(0).with_name("checkpoint.pt"), b"weights")
        sweep.trial(0).mkdir()
        (sweep.trial(0) / "log.txt").open("a").close()
        Store(f"sqlite:///{home.mlflow_db}", home.mlartifacts).experiment("digits")
        subprocess.run([sys.executable, "-c", f"open({str(sweep.path / 'child')!r}, 'w')"])

    monkeypatch.setattr(run_module._Run, "through", through)
    run_module.run(ONE, home)
    sweep = home.sweep(SWEEP.name)
    sweep.ask(Request.PAUSE)
    dataset_of(sweep, sweep_of(sweep))
    made = modes(home.path)
    assert {"probe/control", "probe/trials.parquet", "probe/child", "mlflow.db"} <= made.keys()
    for name, mode in made.items():
        kept = folder if (home.path / name).is_dir() else file
        assert mode & 0o777 == kept, (name, oct(mode))
        assert not shared or kept == file or mode & stat.S_ISGID, name
    assert os.umask(0) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_request_of_root_can_be_read_by_the_driver(tmp_path: Path) -> None:
    folder = Home.at(tmp_path).sweep("one")
    folder.create()
    os.chown(folder.path, 1234, 1235)
    folder.ask(Request.STOP)
    left = folder.control.stat()
    assert (left.st_uid, left.st_gid) == (1234, 1235)


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_driver_clears_away_what_dead_processes_have_left_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = tmp_path / "trials" / "00000"
    trial.mkdir(parents=True)
    ours, dead, host = os.getpid(), dead_process(), temporary._machine()

    def left(name: str, age: float = 0.0) -> Path:
        path = trial / name
        path.write_bytes(b"part")
        os.utime(path, (time.time() - age,) * 2)
        return path

    gone = [
        left(f".checkpoint.pt.{host}.{dead}.0123abcd.tmp"),
        left(f".checkpoint.pt.elsewhere.{ours}.0123abcd.tmp", age=2 * 86400),
    ]
    folder = trial / "kept" / f".000500.{host}.{dead}.0123abcd.tmp"
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"whole")
    gone.append(folder)

    def scratch(token: str, age: float) -> Path:
        """Another machine's, two days old, in which something was written later."""
        made = trial / f".00000.elsewhere.{dead}.{token}.tmp"
        (made / "00000").mkdir(parents=True)
        left(f"{made.name}/00000/log.txt", age)
        for path in (made / "00000", made):
            os.utime(path, (time.time() - 2 * 86400,) * 2)
        return made

    gone.append(scratch("0123abcd", age=86400 + 600))
    stays = [
        scratch("0123abce", age=86400 - 600),
        left(f".checkpoint.pt.{host}.{ours}.0123abcd.tmp"),
        left(f".checkpoint.pt.elsewhere.{dead}.0123abcd.tmp"),
        left("checkpoint.pt"),
        left("notes.tmp"),
        left(".hidden"),
    ]
    remove_leftovers(tmp_path, below=False)
    assert all(path.exists() for path in (*gone, *stays))
    remove_leftovers(tmp_path)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stays)
    assert {path.name for path in trial.iterdir()} == {"kept", *(path.name for path in stays)}


def test_what_is_written_has_a_name_that_says_by_whom(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom trials.files import atomic_write\n"
        "atomic_write(Path(sys.argv[1]), lambda path: os.kill(os.getpid(), signal.SIGKILL))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "spec.json")])
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".spec.json.")
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert temporary_for(tmp_path / "x").parent == tmp_path
    assert platform.node().split(".")[0][:8] in temporary_for(tmp_path / "x").name
