"""The files for the cluster launcher and for SkyPilot are what those read, and fit all the rest.

The launcher's is held against Ray's own schema. SkyPilot's was held against that of SkyPilot 0.14
once, by hand: it is no dependency.
"""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from sweeper.scheduling.cluster.growing import growth_asked_for
from sweeper.scheduling.machines.eviction import CLOUDS
from sweeper.sweepfile.resources import Given

ROOT = Path(__file__).parents[2]
LAUNCHER = yaml.safe_load((ROOT / "docker/launcher/aws.yaml").read_text(encoding="utf-8"))
SKYPILOT = yaml.safe_load((ROOT / "docker/skypilot/sweep.sky.yaml").read_text(encoding="utf-8"))


def _environment(address: str = "") -> dict[str, str]:
    """What sweep.env sets, on the head, or on a worker whose head has this address."""
    told = {"HOME": "/home/ubuntu", "PATH": "/usr/bin:/bin"}
    told |= {"RAY_HEAD_IP": address} if address else {}
    command = ["bash", "-euc", f". {ROOT}/docker/launcher/sweep.env && env"]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def _started(commands: list[str]) -> dict[str, Any]:
    """The options of the one `ray start` among these commands, as Ray reads them."""
    (found,) = re.findall(r"\bray start (.*)", "\n".join(commands).replace("\\\n", " "))
    words = found.replace("$RAY_HEAD_IP", "10.0.0.1").removesuffix("&").split()
    options: dict[str, Any] = start.make_context("start", words).params
    return options


def test_the_launcher_s_file_is_what_ray_reads() -> None:
    validate_config(prepare_config(copy.deepcopy(LAUNCHER)))
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config({**copy.deepcopy(LAUNCHER), "max_worker": 8}))


def test_a_head_without_cores_grows_by_the_workers_that_sweeps_are_told_of() -> None:
    head, worker = (LAUNCHER["available_node_types"][name] for name in ("head", "worker"))
    told = _environment()
    may_come = growth_asked_for(told).to_come([])
    has = worker["resources"]
    assert may_come == [Given(has["CPU"], has["GPU"])] * worker["max_workers"]
    assert (worker["min_workers"], LAUNCHER["max_workers"]) == (0, worker["max_workers"])
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert told["SWEEPER_EVICTION"] == LAUNCHER["provider"]["type"]
    assert told["RAY_AUTH_MODE"] == "token"
    started = _started(LAUNCHER["head_start_ray_commands"])
    assert (started["num_cpus"], head["resources"]) == (0, {"CPU": 0})
    assert f"127.0.0.1:{started['port']}" == told["RAY_ADDRESS"]
    joins = _started(LAUNCHER["worker_start_ray_commands"])["address"]
    assert joins == _environment("10.0.0.1")["RAY_ADDRESS"]


@pytest.mark.parametrize("commands", [LAUNCHER["setup_commands"], [SKYPILOT["setup"]]])
def test_one_version_is_installed_everywhere(commands: list[str]) -> None:
    text = "\n".join(commands)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    extras, ours = re.findall(r"gan-sweeper\[([^]]*)\]==([\d.]+)", text)[0]
    assert [ours] == re.findall(r'^version = "(.*)"', project, re.M)
    assert re.findall(r"ray\[default\]==([\d.]+)", text) == re.findall(r"^ray==(.*)$", pinned, re.M)
    assert {"cluster", "s3"} <= set(extras.split(","))


@pytest.mark.parametrize("script", ["setup", "run"])
def test_skypilot_s_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n"], input=SKYPILOT[script], text=True, check=True)


def test_skypilot_s_ray_asks_for_a_token_beside_skypilot_s_own() -> None:
    told = SKYPILOT["envs"]
    assert told["RAY_AUTH_MODE"] == "token"
    assert SKYPILOT["secrets"] == {"RAY_AUTH_TOKEN": None, "PGPASSWORD": None}
    assert told["SWEEPER_EVICTION"] in CLOUDS
    run = SKYPILOT["run"].replace("\\\n", " ")
    (common,) = re.findall(r'ray start (.*) "\$@"', run)
    (head,) = re.findall(r"start_ray (--head.*)", run)
    (joins,) = re.findall(r"start_ray (--address.*)", run)
    for more in (head, joins):
        options = start.make_context("start", f"{common} {more}".replace('"', "").split()).params
        assert options["min_worker_port"] == options["max_worker_port"] == 0
    assert "ray stop" not in re.sub("#.*", "", run)
