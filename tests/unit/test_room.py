"""On which machines a trial can run, there or to come, and that others are refused."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.scheduling.cluster import room
from sweeper.scheduling.cluster.growing import growth_asked_for
from sweeper.scheduling.cluster.room import TO_COME, Room
from sweeper.scheduling.working.machine_checks import needs
from sweeper.scheduling.working.messages import Work
from sweeper.sweepfile.resources import Given, Resources

GIB = 1 << 30


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Ray's account of the machines; the head has no cores."""
    there = [_node("head", 0)]
    monkeypatch.setattr(room.ray, "nodes", lambda: there)
    return there


def _node(name: str, cpu: float, gpu: float = 0.0, memory: int = GIB) -> dict[str, Any]:
    has = {"CPU": float(cpu), "GPU": gpu, "memory": float(memory)}
    return {"NodeID": name, "NodeManagerHostname": f"{name}.lab", "Alive": True, "Resources": has}


def _room(machines: str, **asked: Any) -> Room:
    return Room(Resources(**asked), growth_asked_for({"SWEEPER_MACHINES": machines}))


def test_a_cluster_without_machines_has_room_where_some_may_come(
    nodes: list[dict[str, Any]],
) -> None:
    growing = _room("2 x cpu=4; 1 x cpu=1", cpu=2)
    growing.check()
    assert (growing.machines(), growing.to_come()) == ({}, [Given(4, 0)] * 2)
    assert growing.names_in_time() == {"": TO_COME}
    nodes.append(_node("a", 4))
    assert (growing.machines(), growing.to_come()) == ({"a": Given(4, 0, GIB)}, [Given(4, 0)])
    nodes += [_node("b", 4), {**_node("c", 4), "Alive": False}]
    assert growing.to_come() == []
    assert growing.names_in_time() == {"a": "a.lab", "b": "b.lab"}


NONE = "no machine of this Ray cluster has"


@pytest.mark.parametrize(
    ("machines", "asked", "told"),
    [
        (
            "",
            {"cpu": 2},
            f"resources.cpu is 2, but {NONE} more than 1; if it scales automatically, "
            "describe its machines in SWEEPER_MACHINES",
        ),
        (
            "8 x cpu=4",
            {"cpu": 1, "gpu": "auto"},
            f"resources.gpu is auto, but {NONE} more than 0 (nor one that may join it)",
        ),
        (
            "8 x cpu=4; 1 x cpu=1 gpu=1",
            {"cpu": 4, "gpu": 0.5},
            f"a trial needs 4 CPUs and 0.5 GPUs of one machine, but {NONE} both (nor one that may "
            "join it)",
        ),
    ],
)
def test_what_no_machine_can_hold_is_refused(
    machines: str, asked: dict[str, Any], told: str, nodes: list[dict[str, Any]]
) -> None:
    nodes.append(_node("a", 1))
    with pytest.raises(UserError) as caught:
        _room(machines, **asked).check()
    assert str(caught.value) == told


def test_who_is_to_be_alone_asks_for_the_whole_of_the_machine_where_room_is_made() -> None:
    has = {
        "where-it-was": Given(4, 0, 8 * GIB),
        "alike": Given(4, 0, 8 * GIB - 4096),
        "roomier": Given(4, 0, 9 * GIB),
        "poorer": Given(4, 0, 7 * GIB),
        "larger": Given(16, 0, 64 * GIB),
    }
    work = Work(0, "", "", {}, alone=True, avoid=("leaving",))
    asked = needs(work, lambda: has, lambda number, machines: "where-it-was")
    assert (asked["cpu"], asked["avoid"]) == (4, ("larger", "leaving", "poorer"))
    largest = needs(work, lambda: has, lambda number, machines: "larger")
    assert (largest["cpu"], set(largest["avoid"])) == (16, {*has, "leaving"} - {"larger"})
    nowhere = needs(work, dict, lambda number, machines: next(iter(machines)))
    assert (nowhere["cpu"], nowhere["avoid"]) == (1, ("leaving",))
