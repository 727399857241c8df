"""A Ray head of a home, and the jobs that are given to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from sweeper.scheduling.cluster import head as heads
from sweeper.scheduling.cluster.head import Head
from sweeper.scheduling.cluster.inventory import ClusterMachines
from sweeper.scheduling.cluster.jobs import Jobs, JobsUnreachable

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def head(home: Path) -> Iterator[Head]:
    kept = dict(os.environ)
    os.environ["SWEEPER_SMTP_PASSWORD"] = "for notices alone"
    try:
        started = heads.up(home, cpus=2)
        started.join()
        yield started
    finally:
        heads.down(home)
        os.environ.clear()
        os.environ.update(kept)


@pytest.fixture(scope="module")
def jobs(head: Head) -> Jobs:
    return Jobs(head.jobs, head.token)


def wait_for(jobs: Jobs, name: str, text: str) -> str:
    deadline = time.monotonic() + 60
    while text not in (said := jobs.log(name)):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    return said


def test_a_head_can_be_reached_from_this_machine_alone_and_with_its_token(
    head: Head, home: Path
) -> None:
    places = [
        connection.laddr.ip
        for process in head.processes
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert places
    assert {place.removeprefix("::ffff:") for place in places} == {"127.0.0.1"}
    assert stat.S_IMODE(head.token.stat().st_mode) == 0o600
    assert requests.get(f"{head.jobs}/api/jobs/", timeout=10).status_code == 401
    secret = head.token.read_text()
    assert not any(secret in word for one in head.processes for word in one.cmdline())
    assert secret not in (home / ".ray" / "head.json").read_text()


def test_a_head_that_runs_is_found_and_not_started_again(head: Head, home: Path) -> None:
    before = {process.pid for process in head.processes}
    assert heads.up(home) == heads.find(home) == head
    assert before <= {process.pid for process in head.processes}


def test_a_copy_of_a_home_has_no_part_in_its_head_and_a_home_that_moved_keeps_it(
    head: Head, home: Path, tmp_path: Path
) -> None:
    before = {process.pid for process in head.processes}
    copy, moved = tmp_path / "copy", tmp_path / "moved"
    shutil.copytree(home, copy)
    assert heads.find(copy) is None
    heads.down(copy)
    assert before <= {process.pid for process in head.processes}
    home.rename(moved)
    shutil.copytree(moved, home)  # where the original was
    found = [heads.find(there) for there in (copy, home, moved)]
    for other in (copy, home):
        heads.down(other)
    shutil.rmtree(home)
    moved.rename(home)
    assert found == [None, None, replace(head, token=moved / ".ray" / "token")]
    assert before <= {process.pid for process in head.processes}


def test_a_job_runs_once_however_often_it_is_asked_for(jobs: Jobs, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    script = (
        f"open({str(runs)!r}, 'a').write('once\\n'); import os; "
        "print(os.environ.get('SWEEPER_SMTP_PASSWORD'), os.environ['SAID'])"
    )
    command = [sys.executable, "-c", script]
    assert not jobs.exists("sweep-1")
    assert jobs.submit(command, "sweep-1", {"SAID": "it's said"})
    assert not jobs.submit(command, "sweep-1", {"SAID": "otherwise"})
    assert jobs.exists("sweep-1")
    assert wait_for(jobs, "sweep-1", "it's said").endswith("None it's said\n")
    assert runs.read_text() == "once\n"


HOLDS = """
import ray, time
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
ray.init()
actor = ray.remote(type("A", (), {"on": lambda self: None}))
def hold(**options):
    kept.append(actor.options(**options).remote())
    ray.get(kept[-1].on.remote())
kept = []
"""
IN_A_GROUP = """
group = placement_group([{"CPU": 0.5}])
hold(num_cpus=0.5, scheduling_strategy=PlacementGroupSchedulingStrategy(group))
"""


def test_what_drivers_and_strangers_have_of_a_machine_is_told_apart(head: Head, jobs: Jobs) -> None:
    machines = ClusterMachines(head.address, "home")
    kept = "print('join' + 'ed', flush=True); time.sleep(600)"
    for name, owner, holds in (
        ("sweep-2", "home", IN_A_GROUP + "hold(num_cpus=0.25)\n"),
        ("stranger", "", "hold(num_cpus=0.75)\n"),
    ):
        assert jobs.submit([sys.executable, "-c", HOLDS + holds + kept], name, {}, owner)
        wait_for(jobs, name, "joined")
    deadline = time.monotonic() + 60
    while True:
        [machine] = machines.look(jobs)
        if machine.others["CPU"] == 0.75 and machine.free["CPU"] == 0.5:
            break
        assert time.monotonic() < deadline, machine  # the head hears of it a little later
        time.sleep(0.1)
    assert machine.alive
    assert machine.total["CPU"] == 2
    assert machine.total["memory"] > 0
    assert machine.jobs == ("stranger", "sweep-2")
    assert all(gpu.memory > 0 for gpu in machine.gpus)
    [seen] = ClusterMachines(head.address, "another home").look()
    assert seen.others["CPU"] == 1.5
    for name in ("sweep-2", "stranger", "never submitted"):
        jobs.stop(name)
    deadline = time.monotonic() + 60
    while machines.look(jobs)[0].jobs:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_look_at_the_machines_leaves_nothing_open(head: Head) -> None:
    machines, here = ClusterMachines(head.address, "home"), psutil.Process()
    machines.look()
    before = here.num_fds(), here.num_threads()
    for _ in range(20):
        machines.look()
    # What Ray's own threads open late are one or two; what each look left would be twenty.
    assert here.num_fds() < before[0] + 10
    assert here.num_threads() < before[1] + 10


def test_what_is_not_there_is_said_in_a_sentence(head: Head, jobs: Jobs, tmp_path: Path) -> None:
    assert jobs.log("never submitted") == ""
    with pytest.raises(JobsUnreachable, match=r"job server at http://127\.0\.0\.1:9 "):
        Jobs("http://127.0.0.1:9", head.token)
    (tmp_path / "token").write_text("wrong" * 8)
    with pytest.raises(JobsUnreachable, match=r"job server .* refused"):
        Jobs(head.jobs, tmp_path / "token")


def test_a_start_that_was_killed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, job = tmp_path / ".ray", tmp_path / "slurm-12345678"
    job.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(job))  # too long for Ray's sockets
    started = heads.up(tmp_path, cpus=1)
    told = json.loads((place / "head.json").read_text())
    (place / "head.json").write_text(json.dumps({**told, "address": ""}))  # as before it was known
    assert heads.find(tmp_path) is None
    reader = f"tail -f {started.folder}/start.log"
    with subprocess.Popen(["sh", "-c", f"{reader} & wait"], start_new_session=True) as bystander:
        heads.down(tmp_path)
        alive = bystander.poll() is None
        os.killpg(bystander.pid, signal.SIGKILL)
    assert alive
    assert started.processes == []
    assert not started.folder.exists()
    assert heads.find(tmp_path) is None
