"""Somebody else's Ray cluster of two machines, one of which may not see the sweep's folder.

Both are raylets on this machine; the second one's mount namespace hides the home from it, as a
local disk would. The cluster asks for a token. The driver's machine has no cores to give.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import SweeperError
from sweeper.home import Home
from sweeper.results import records_of
from sweeper.scheduling.cluster import connecting
from sweeper.scheduling.cluster.connecting import Cluster
from sweeper.scheduling.working.machine_checks import Mark
from sweeper.search.looking import sweep_of
from sweeper.sweepfile.resources import Resources
from sweeper.testing.small import comparable
from tests.integration.raylets import ENVIRONMENT, Machine, end, raylets, wait
from tests.integration.test_end_to_end import SWEEP
from trials.config import load_config
from trials.trainer import train


def may_hide() -> bool:
    """Whether a folder can be hidden from a process here."""
    tried = ("unshare", "--mount", "true")
    return bool(shutil.which("unshare")) and subprocess.run(tried, check=False).returncode == 0


@pytest.fixture
def machines() -> Iterator[tuple[str, Machine]]:
    """The cluster's address, and what starts another machine. The head has no cores to give."""
    with raylets() as cluster:
        yield cluster


def sweeper_run(file: Path, home: Path, address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sweeper", "run", str(file)],
        capture_output=True, text=True, check=False, timeout=240,
        env={**ENVIRONMENT, "SWEEPER_HOME": str(home), "RAY_ADDRESS": address},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not may_hide(), reason="no mount namespaces here")
def test_trials_run_only_where_their_files_are_seen(
    machines: tuple[str, Machine], tmp_path: Path
) -> None:
    address, join = machines
    home, file = tmp_path / "home", tmp_path / "tiny.yaml"
    home.mkdir()
    file.write_text(SWEEP.replace("trials: 3", "trials: 2"))

    hidden = f"mount -t tmpfs none {home}"
    apart = join(before=hidden)
    refused = sweeper_run(file, home, address)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert f"does not see {home / 'tiny'}" in refused.stderr
    assert "give --home a folder that all machines" in refused.stderr
    assert "Traceback" not in refused.stderr
    folder = Home.at(home).existing("tiny")
    assert records_of(folder, sweep_of(folder)) == []

    end(apart)
    join(before=hidden, cores=0)  # no trial could run there
    join()
    done = sweeper_run(file, home, address)
    assert done.returncode == 0, done.stdout + done.stderr
    records = records_of(folder, sweep_of(folder))
    assert [record.state for record in records] == ["completed"] * 2
    for record in records:
        assert (folder.trial(record.number) / "checkpoint.pt").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_machine_that_dies_takes_no_trial_with_it(
    machines: tuple[str, Machine], tmp_path: Path
) -> None:
    address, join = machines
    home, file = tmp_path / "home", tmp_path / "tiny.yaml"
    file.write_text(SWEEP.replace("trials: 3", "trials: 2").replace("steps: 4", "steps: 600"))
    doomed = join()
    join()
    folder = Home(home).sweep("tiny")
    with _started(file, home, address) as run:
        both = [folder.trial(number) / "checkpoint.pt" for number in (0, 1)]
        wait(lambda: all(one.exists() for one in both), run)
        os.killpg(doomed.pid, signal.SIGKILL)
        assert run.wait(240) == 0
    records = records_of(folder, sweep_of(folder))
    assert [(record.state, record.steps) for record in records] == [("completed", 600)] * 2
    assert sorted(record.attempts for record in records) == [1, 2]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not may_hide(), reason="no mount namespaces here")
def test_a_trial_leaves_a_machine_that_gives_notice_and_goes_on_bit_for_bit(
    machines: tuple[str, Machine], tmp_path: Path
) -> None:
    address, join = machines
    home, file, log = tmp_path / "home", tmp_path / "tiny.yaml", tmp_path / "log"
    longer = SWEEP.replace("trials: 3", "trials: 2").replace("steps: 4", "steps: 6000")
    file.write_text(longer.replace("every: 2", "every: 1000"))
    (notices := tmp_path / "notices").mkdir()
    join()
    join(before=f"mount -t tmpfs none {notices}")  # what is told there, this one never hears
    folder = Home(home).sweep("tiny")
    told = {"SWEEPER_EVICTION": f"file:{notices / 'now'}"}
    with log.open("wb") as output, _started(file, home, address, output, **told) as run:
        both = [folder.trial(number) / "checkpoint.pt" for number in (0, 1)]
        wait(lambda: all(one.exists() for one in both), run)
        (notices / "now").write_text("the price has risen")
        assert run.wait(300) == 0
    said = log.read_text()
    assert "is about to be taken away (the price has risen): its trials move" in said
    assert said.count(" moved") == 1
    records = records_of(folder, sweep_of(folder))
    assert [(record.state, record.steps) for record in records] == [("completed", 6000)] * 2
    assert sorted(record.attempts for record in records) == [1, 2]
    for record in records:
        straight = train(load_config(record.config), folder=tmp_path / record.name)
        assert [comparable(one.metrics) for one in record.evaluations] == [
            comparable(one.metrics) for one in straight.history
        ]


@contextlib.contextmanager
def _started(
    file: Path, home: Path, address: str, output: Any = subprocess.DEVNULL, **told: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "sweeper", "run", str(file)]
    environment = {**ENVIRONMENT, "SWEEPER_HOME": str(home), "RAY_ADDRESS": address, **told}
    with subprocess.Popen(command, env=environment, stdout=output, stderr=output) as run:
        try:
            yield run
        finally:
            run.kill()


def test_a_mark_is_seen_only_where_it_was_left(tmp_path: Path) -> None:
    folder = Home(tmp_path).sweep("one")
    folder.create()
    earlier = Mark.leave(folder)
    assert not earlier.fault("here")
    mark = Mark.leave(folder)
    assert not mark.fault("here")
    assert "does not see" in earlier.fault(
        "here"
    )  # as in a folder of the same name that another driver filled
    folder.driver_mark.unlink()
    assert "does not see" in mark.fault("here")


def test_a_ray_of_our_own_starts_under_a_long_folder_of_temporary_files(tmp_path: Path) -> None:
    """In a process of its own, as Ray keeps what it has read of its environment."""
    job = tmp_path / ("a-job-of-somebody-" * 4)
    job.mkdir()
    script = """
from sweeper.scheduling.cluster.connecting import Cluster, environment
from sweeper.sweepfile.resources import Resources
with environment(), Cluster(Resources(), 1):
    print("it runs")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(job)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "it runs\n", done.stderr


def test_a_start_that_is_given_up_leaves_nothing_of_a_ray_of_our_own(tmp_path: Path) -> None:
    """In a process of its own, as what is left is taken away when that ends."""
    script = """
from sweeper.scheduling.cluster.connecting import Cluster, environment
from sweeper.scheduling.cluster.servers import servers
from sweeper.sweepfile.resources import Resources
def given_up():
    if servers():
        raise KeyboardInterrupt
try:
    with environment(), Cluster(Resources(), 1, given_up):
        print("it runs")
except KeyboardInterrupt:
    print("given up")
"""
    with tempfile.TemporaryDirectory() as short:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.stdout, done.stderr) == ("given up\n", "")
        assert not [*Path(short, "ray").glob("session_2*")]


def test_a_process_has_one_ray_at_a_time_and_nothing_of_it_afterwards() -> None:
    """One that was given up is waited for, and one in use is refused. In a process of its own."""
    script = """
import os
import ray
from sweeper.errors import UserError
from sweeper.scheduling.cluster.connecting import Cluster, environment
from sweeper.scheduling.cluster.servers import servers
from sweeper.sweepfile.resources import Resources
asked = ray._raylet.get_authentication_mode()
def given_up():
    if servers():
        raise KeyboardInterrupt
try:
    with environment(), Cluster(Resources(), 1, given_up):
        pass
except KeyboardInterrupt:
    print("given up")
with environment(), Cluster(Resources(), 1) as second:
    try:
        with Cluster(Resources(), 1):
            pass
    except UserError as error:
        print(str(error).partition(",")[0])
    print(ray.get(ray.remote(lambda: "it works").remote()))
    second.check()
print("RAY_AUTH_MODE" in os.environ, ray._raylet.get_authentication_mode() == asked)
"""
    without = {name: os.environ[name] for name in os.environ if name != "RAY_AUTH_MODE"}
    with tempfile.TemporaryDirectory() as short:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**without, "RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=180,
        )
        told = ["given up", "another sweep runs in this process", "it works", "False True"]
        assert done.stdout.splitlines() == told, done.stderr
        assert not [*Path(short, "ray").glob("session_2*")]


@pytest.mark.parametrize(("mode", "hinted"), [(None, True), ("token", False)])
def test_a_cluster_that_cannot_be_joined_says_what_ray_leaves_unsaid(
    mode: str | None, hinted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")

    monkeypatch.setattr(connecting.ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(SweeperError, match=r"10\.0\.0\.1:6379") as caught, Cluster(Resources(), 1):
        pass
    assert ("RAY_AUTH_MODE=token" in str(caught.value)) is hinted
