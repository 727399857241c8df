"""The files of docker/ agree with each other, since no test starts containers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
BUCKET = (DOCKER / "compose.bucket.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    return found


def test_the_example_of_an_environment_has_every_variable_that_compose_reads_and_no_other() -> None:
    offered = re.findall(r"^#?([A-Z_]+)=", (DOCKER / "example.env").read_text("utf-8"), re.M)
    assert sorted(offered) == sorted(set(re.findall(r"\$\{([A-Z_]+)", COMPOSE + BUCKET)))


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


def test_whatever_trains_or_drives_is_let_into_the_bucket(services: dict[str, Any]) -> None:
    overlay = yaml.safe_load(BUCKET)
    added = overlay["services"]
    reaching = overlay["x-reaching"]
    for name in ("head", "worker", "service", "make-bucket"):
        assert reaching.items() <= added[name]["environment"].items()
    publishing = {
        name for name in services if "SWEEPER_BUCKET" in added.get(name, {}).get("environment", ())
    }
    assert publishing == {"head", "service"}, "a driver says where to publish, each worker is told"
    known = yaml.safe_load(overlay["configs"]["identities"]["content"])["identities"]
    [pair] = known[0]["credentials"]
    assert pair["accessKey"] == reaching["AWS_ACCESS_KEY_ID"]
    assert pair["secretKey"] == reaching["AWS_SECRET_ACCESS_KEY"]
    assert "s3]" in (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert re.fullmatch(r".+:[0-9.]+", added["store"]["image"]), "a version, and not the latest"
