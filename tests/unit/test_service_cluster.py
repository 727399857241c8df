"""Which Ray a service uses, and what its drivers are told."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from sweeper.errors import SweeperError, UserError
from sweeper.home import Home
from sweeper.scheduling.cluster import head, inventory
from sweeper.scheduling.cluster.gpus import Gpu, gpus_of_machines
from sweeper.scheduling.cluster.growing import growth_asked_for
from sweeper.scheduling.cluster.inventory import ClusterMachines, Machine
from sweeper.scheduling.cluster.jobs import Jobs, JobsUnreachable
from sweeper.scheduling.cluster.starting import parent_for
from sweeper.service.cluster import LOOKS, Others, driver_environment, named_cluster, to_come
from sweeper.service.settings import ServiceSettings


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"RAY_ADDRESS": ""}, None),
        ({"RAY_ADDRESS": "head:6379"}, ("head:6379", "http://head:8265")),
        (
            {"RAY_ADDRESS": "head:6379", "RAY_API_SERVER_ADDRESS": "http://head:9"},
            ("head:6379", "http://head:9"),
        ),
    ],
)
def test_the_cluster_is_the_one_that_is_named(
    environment: dict[str, str], found: tuple[str, str] | None
) -> None:
    assert named_cluster(environment) == found


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "http://head:8265", "head"])
def test_an_address_that_is_no_head_s_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="HOST:6379"):
        named_cluster({"RAY_ADDRESS": address})


def test_a_folder_for_ray_that_is_missing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def start(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        [folder] = (word.partition("=")[2] for word in command if word.startswith("--temp-dir="))
        made.append(Path(folder))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", start)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("RAY_TMPDIR", f"{short}/r")
        with pytest.raises(SweeperError, match="cannot start Ray's head"):
            head.up(tmp_path)
        assert [folder.parent for folder in made] == [Path(short) / "r"]
        Path(short, "file").touch()
        monkeypatch.setenv("RAY_TMPDIR", f"{short}/file")
        with pytest.raises(UserError, match=f"cannot write {short}/file"):
            head.up(tmp_path)


def test_a_folder_for_ray_is_measured_where_it_will_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("somebodys" * 5)
    long.mkdir()
    monkeypatch.chdir(long)
    monkeypatch.setenv("RAY_TMPDIR", "here")
    assert parent_for("ray") == Path("/tmp")
    monkeypatch.chdir("/")
    assert parent_for("ray") == Path("/here")


def test_drivers_are_told_where_everything_is_and_no_secret(tmp_path: Path) -> None:
    settings = ServiceSettings(Home(tmp_path), "postgresql+psycopg://sweeper@db/service", port=81)
    environment = {
        "SWEEPER_STORAGE": "postgresql+psycopg://sweeper:hidden@db/studies",
        "PGPASSWORD": "hidden",
        "OMP_NUM_THREADS": "1",
        "SWEEPER_MACHINES": "2 x cpu=4",
        "RAY_ADDRESS": "head:6379",
    }
    told = driver_environment(settings, "http://127.0.0.1:82", environment)
    assert told == {
        "SWEEPER_HOME": str(tmp_path),
        "SWEEPER_DATABASE": "postgresql+psycopg://sweeper@db/service",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:82",
        "SWEEPER_SERVICE": "http://127.0.0.1:81",
        "OMP_NUM_THREADS": "1",
        "SWEEPER_MACHINES": "2 x cpu=4",
    }
    del environment["RAY_ADDRESS"]  # a Ray of the service's own, which does not grow
    assert driver_environment(settings, "", environment)["SWEEPER_MACHINES"] == ""


def test_the_queue_sees_the_machines_that_may_still_come() -> None:
    growth = growth_asked_for({"SWEEPER_MACHINES": "2 x cpu=4; 1 x cpu=8 gpu=1"})
    there = [
        Machine("a", "a", "10.0.0.1", True, {"CPU": 4.0, "memory": 1e9}),
        Machine("head", "head", "10.0.0.2", True),
    ]
    found = to_come(growth, there)
    assert [(one.cpu, one.gpu, one.free_cpu, one.to_come) for one in found] == [
        (4, 0, 4, True),
        (8, 1, 8, True),
    ]
    assert len({one.name for one in found}) == 2


class _Silent(grpc.RpcError):  # type: ignore[misc]
    def details(self) -> str:
        return "too busy"


@pytest.mark.parametrize("silent", [2, 3])
def test_a_head_that_does_not_answer_is_asked_a_few_times(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    class Tables(inventory._Tables):
        def nodes(self) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked <= silent:
                raise _Silent
            return {}

        def totals(self) -> dict[str, dict[str, float]]:
            return {}

        free, actors = totals, cast(Any, totals)

    monkeypatch.setattr(inventory, "AGAIN_IN", 0.0)
    monkeypatch.setattr(inventory, "_Tables", Tables)
    machines = ClusterMachines("127.0.0.1:9", "home")
    if silent < inventory.TRIES:
        assert machines.look() == []
    else:
        with pytest.raises(JobsUnreachable, match=r"127\.0\.0\.1:9 does not answer: too busy"):
            machines.look()
    assert asked == min(silent + 1, inventory.TRIES)


def test_what_others_have_counts_when_they_have_had_it_for_a_while() -> None:
    others, seen = Others(), []
    for taken in (0.0, 3.0, *[1.5] * (LOOKS - 1), 0.0):
        machine = Machine("a", "a", "10.0.0.1", True, {"CPU": 4.0, "GPU": 2.0}, {}, {"CPU": taken})
        [left] = others.leave([machine])
        assert (left.cpu, left.gpu, left.free_gpu) == (4.0, 2.0, 2.0)
        seen.append(left.free_cpu)
    assert seen == [*[4.0] * LOOKS, 2.5, 4.0]


class _Dashboard:
    """What Ray's server says of its machines."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def ask(self, path: str) -> Any:
        assert path == "/nodes?view=summary"
        return self.answer


def test_gpus_are_told_as_their_machines_tell_of_them() -> None:
    whole = {"index": 1, "name": "NVIDIA H200", "uuid": "GPU-1", "utilizationGpu": 35}
    whole |= {"memoryUsed": 2048, "memoryTotal": 143771, "processesPids": {}}
    slice_ = {**whole, "index": 0, "utilizationGpu": None, "memoryUsed": 0}
    nodes = [
        {"raylet": {"nodeId": "a"}, "gpus": [whole, slice_]},
        {"raylet": {"nodeId": "b"}, "gpus": []},
        {"raylet": {}},
    ]
    asked = cast(Jobs, _Dashboard({"result": True, "data": {"summary": nodes}}))
    memory = 143771 * 2.0**20
    assert gpus_of_machines(asked) == {
        "a": (
            Gpu(0, "NVIDIA H200", memory, 0.0, None),
            Gpu(1, "NVIDIA H200", memory, 2.0**31, 0.35),
        )
    }


@pytest.mark.parametrize("answer", [None, [], {}, {"data": {}}])
def test_a_ray_that_does_not_tell_of_its_gpus_shows_none(answer: Any) -> None:
    assert gpus_of_machines(cast(Jobs, _Dashboard(answer))) == {}


def test_a_driver_gives_up_a_head_that_has_died() -> None:
    """Ray itself would try for many minutes, while the driver's heart beats. In a process of its
    own: Ray's thread goes on trying."""
    script = """
import os
os.environ["RAY_ADDRESS"] = "127.0.0.1:9"
from sweeper.scheduling.cluster import connecting
from sweeper.sweepfile.resources import Resources
connecting.CONNECT_PATIENCE = 0.5
try:
    with connecting.Cluster(Resources(), 1):
        print("let in")
except connecting.ClusterLost as error:
    print(error, flush=True)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "the Ray cluster at 127.0.0.1:9 does not answer\n"


def test_a_server_for_jobs_that_only_its_own_machine_reaches_is_told_as_that() -> None:
    with pytest.raises(JobsUnreachable, match=r"--dashboard-host.*RAY_API_SERVER_ADDRESS"):
        Jobs("http://localhost:9")
