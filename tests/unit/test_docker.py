"""The files of docker/ agree with each other, since no test starts containers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = (DOCKER / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    return found


def test_the_example_of_an_environment_has_every_variable_that_compose_reads_and_no_other() -> None:
    offered = re.findall(r"^#?([A-Z_]+)=", (DOCKER / "example.env").read_text("utf-8"), re.M)
    assert sorted(offered) == sorted(set(re.findall(r"\$\{([A-Z_]+)", COMPOSE)))


def test_the_database_is_ready_when_it_answers_at_an_address(services: dict[str, Any]) -> None:
    # The image makes databases on a server that listens at its socket alone, and then restarts it.
    assert "--host=127.0.0.1" in services["database"]["healthcheck"]["test"]


def test_whatever_trains_or_drives_sees_the_same_files(services: dict[str, Any]) -> None:
    seen = [services[name]["volumes"] for name in ("head", "worker", "service")]
    assert seen[0] == seen[1] == seen[2]
    roots = [word for word in services["service"]["command"] if word.startswith("--root=")]
    mounted = {volume.removesuffix(":ro").rpartition(":")[2] for volume in seen[0]}
    assert roots
    assert {root.removeprefix("--root=") for root in roots} <= mounted


@pytest.mark.parametrize("name", ["head", "worker"])
def test_ray_keeps_its_memory_where_the_container_has_room(
    services: dict[str, Any], name: str
) -> None:
    words = dict(word.split("=") for word in services[name]["command"] if "=" in word)
    assert services[name]["shm_size"] == "1gb"
    assert int(words["--object-store-memory"]) < 1 << 30
