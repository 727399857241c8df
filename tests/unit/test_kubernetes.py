"""The files of docker/kubernetes agree with each other, with compose, and with what is installed.

`make lint` holds them against Kubernetes' schemas, all but the pods of the RayCluster, a kind that
is not Kubernetes' own: those are looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.scheduling.cluster.growing import growth_asked_for
from sweeper.sweepfile.resources import Given

DOCKER = Path(__file__).parents[2] / "docker"
FOLDER = DOCKER / "kubernetes"
HEAD = {"ray.io/cluster": "sweeps", "ray.io/node-type": "head"}
"""Labels that KubeRay's operator gives the head's pod."""
SECRETS = {("database", "password"), ("ray", "auth_token")}
OBJECTS = [
    found
    for file in sorted(FOLDER.glob("*.yaml"))
    for found in yaml.safe_load_all(file.read_text(encoding="utf-8"))
]


(KUSTOMIZATION,) = (one for one in OBJECTS if one["kind"] == "Kustomization")


def _literals(name: str) -> dict[str, str]:
    """What a generated ConfigMap of this name holds."""
    made = {one["name"]: one["literals"] for one in KUSTOMIZATION["configMapGenerator"]}
    return dict(literal.split("=", 1) for literal in made[name])


def _named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        one
        for one in OBJECTS
        if one["kind"] == kind and one.get("metadata", {}).get("name") == name
    )
    return dict(found)


def _templates() -> dict[str, dict[str, Any]]:
    """Every template of a pod, by its owner."""
    ray = _named("RayCluster", "sweeps")["spec"]
    return {
        **{
            one["metadata"]["name"]: one["spec"]["template"]
            for one in OBJECTS
            if one["kind"] in ("Deployment", "StatefulSet")
        },
        "head": ray["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in ray["workerGroupSpecs"]},
    }


def _within(value: Any, key: str) -> Iterator[Any]:
    """Everything below a value that has this key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from _within(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(inner, key)


def test_the_kustomization_has_every_file() -> None:
    files = {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files


def test_secrets_are_named_and_in_no_file() -> None:
    assert not [one for one in OBJECTS if one["kind"] == "Secret"]
    named = {(one["name"], one["key"]) for one in _within(OBJECTS, "secretKeyRef")}
    assert named == SECRETS
    assert _named("RayCluster", "sweeps")["spec"]["authOptions"] == {
        "mode": "token",
        "secretName": "ray",
    }


def test_the_cluster_says_the_version_of_ray_that_the_image_has() -> None:
    constraints = (DOCKER.parent / "constraints.txt").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^ray==(.*)$", constraints, re.M)
    assert _named("RayCluster", "sweeps")["spec"]["rayVersion"] == pinned


def test_the_workers_that_may_come_are_those_that_a_sweep_is_told_of() -> None:
    may_come = growth_asked_for(_literals("growth")).to_come([])
    for group in _named("RayCluster", "sweeps")["spec"]["workerGroupSpecs"]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        each = Given(float(limits["cpu"]), float(limits.get("nvidia.com/gpu", 0)))
        assert may_come == [each] * group["maxReplicas"]
        assert group["minReplicas"] == 0
    told = [*_within(OBJECTS, "configMapRef")]
    assert sorted(one["name"] for one in told) == [
        "driver",
        "driver",
        "growth",
        "growth",
        "service",
    ]


def test_all_is_told_what_compose_tells_it() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name, value in _literals("driver").items():
        assert compose["head"]["environment"][name] == value
    sql = (DOCKER / "databases.sql").read_text(encoding="utf-8")
    assert _named("ConfigMap", "databases")["data"]["databases.sql"] == sql
    database = _templates()["database"]["spec"]["containers"][0]
    assert database["image"] == compose["database"]["image"]
    assert (
        database["readinessProbe"]["exec"]["command"]
        == (compose["database"]["healthcheck"]["test"][1:])
    )
    mlflow = set(_templates()["mlflow"]["spec"]["containers"][0]["args"])
    assert {word.split(",")[0] for word in compose["mlflow"]["command"]} == mlflow


def test_whoever_shares_files_of_one_node_is_put_beside_the_head() -> None:
    affinity = _templates()["service"]["spec"]["affinity"]["podAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == HEAD


def test_every_policy_is_of_pods_that_there_are() -> None:
    labels = [template.get("metadata", {}).get("labels", {}) for template in _templates().values()]
    labels += [HEAD, {**HEAD, "ray.io/node-type": "worker"}]
    policies = [one for one in OBJECTS if one["kind"] == "NetworkPolicy"]
    selectors = [inner for one in policies for inner in _within(one["spec"], "podSelector")]
    assert len(policies) > 1
    for selector in selectors:
        wanted = selector.get("matchLabels", {}).items()
        assert any(wanted <= one.items() for one in labels), selector


@pytest.mark.parametrize("owner", sorted(_templates()))
def test_pods_are_what_kubernetes_says_and_may_do_nothing_special(owner: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    spec = _templates()[owner]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": owner}, "spec": spec}
    validator.validate(pod, validator.latest_version(), strict=True)
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
