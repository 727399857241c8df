"""Which Ray a service uses, and what its drivers are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.service.cluster import driver_environment, named_cluster
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


def test_drivers_are_told_where_everything_is_and_no_secret(tmp_path: Path) -> None:
    settings = ServiceSettings(Home(tmp_path), "postgresql+psycopg://sweeper@db/service", port=81)
    environment = {
        "SWEEPER_STORAGE": "postgresql+psycopg://sweeper:hidden@db/studies",
        "PGPASSWORD": "hidden",
        "OMP_NUM_THREADS": "1",
    }
    told = driver_environment(settings, "http://127.0.0.1:82", environment)
    assert told == {
        "SWEEPER_HOME": str(tmp_path),
        "SWEEPER_DATABASE": "postgresql+psycopg://sweeper@db/service",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:82",
        "SWEEPER_SERVICE": "http://127.0.0.1:81",
        "OMP_NUM_THREADS": "1",
    }


def test_a_driver_gives_up_a_head_that_has_died() -> None:
    """Ray itself would try for many minutes, while the driver's heart beats. In a process of its
    own: Ray's thread goes on trying."""
    script = """
import os
os.environ["RAY_ADDRESS"] = "127.0.0.1:9"
from sweeper.scheduling import cluster
from sweeper.sweepfile.sections import Resources
cluster.CONNECT_PATIENCE = 0.5
try:
    with cluster.Cluster(Resources(), 1):
        print("let in")
except cluster.ClusterLost as error:
    print(error, flush=True)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "the Ray cluster at 127.0.0.1:9 does not answer\n"
