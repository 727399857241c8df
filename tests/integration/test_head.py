"""A Ray head of a home, and the jobs that are given to it."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from sweeper.scheduling import head as heads
from sweeper.scheduling.cluster_machines import machines_of_cluster
from sweeper.scheduling.head import Head
from sweeper.scheduling.jobs import Jobs, JobsUnreachable

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


def test_a_driver_in_a_job_joins_the_cluster_and_its_machine_is_told(
    head: Head, jobs: Jobs
) -> None:
    script = (
        "import ray, time; ray.init(); actor = ray.remote(num_cpus=1)(type('A', (), "
        "{'on': lambda self: print('on')})).remote(); ray.get(actor.on.remote()); "
        "print('joi' + 'ned', flush=True); time.sleep(600)"
    )
    assert jobs.submit([sys.executable, "-c", script], "sweep-2", {})
    wait_for(jobs, "sweep-2", "joined")
    [machine] = machines_of_cluster(head.address, jobs)
    assert machine.alive
    assert machine.total["CPU"] == 2
    assert machine.total["memory"] > 0
    assert "sweep-2" in machine.jobs
    jobs.stop("sweep-2")
    jobs.stop("never submitted")
    deadline = time.monotonic() + 60
    while "sweep-2" in machines_of_cluster(head.address, jobs)[0].jobs:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_not_there_is_said_in_a_sentence(head: Head, jobs: Jobs, tmp_path: Path) -> None:
    assert jobs.log("never submitted") == ""
    with pytest.raises(JobsUnreachable, match=r"server for jobs at http://127\.0\.0\.1:9 "):
        Jobs("http://127.0.0.1:9", head.token)
    (tmp_path / "token").write_text("wrong" * 8)
    with pytest.raises(JobsUnreachable, match="jobs"):
        Jobs(head.jobs, tmp_path / "token")


def test_a_start_that_was_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    place = tmp_path / ".ray"
    started = heads.up(tmp_path, cpus=1)
    told = json.loads((place / "head.json").read_text())
    (place / "head.json").write_text(json.dumps({**told, "address": ""}))  # as before it was known
    assert heads.find(tmp_path) is None
    bystander = psutil.Process()
    heads.down(tmp_path)
    assert started.processes == []
    assert not started.folder.exists()
    assert bystander.is_running()
    assert heads.find(tmp_path) is None
