"""What has found no worker yet is taken back where it is to have none: a machine may never come."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sweeper.scheduling.cluster.room import TO_COME
from sweeper.scheduling.conducting import hand_out
from sweeper.scheduling.conducting.withdrawing import LOOK_EVERY
from sweeper.scheduling.working.messages import REHEARSAL
from sweeper.sweepfile.resources import Given
from tests.driven import HERE, Driven


def _handed_out(sweep: Driven) -> list[int]:
    """What the conductor hands out now, to workers that there are not yet."""
    found = []
    while (work := sweep.conductor.next_work()) is not None:
        found.append(work.number)
    return found


def test_a_smaller_lease_takes_back_the_latest_that_wait_and_they_go_on_first(
    tmp_path: Path,
) -> None:
    sweep = Driven(tmp_path, 4, trials=5)
    sweep.conductor.lease(1)
    sweep.begin()
    sweep.conductor.lease(4)
    waiting = _handed_out(sweep)
    assert waiting == [1, 2, 3]
    assert sweep.conductor.withdrawing.taken_back(waiting) == []
    sweep.conductor.lease(2)
    assert sweep.conductor.withdrawing.taken_back(waiting) == [3, 2]
    sweep.report(0)
    assert list(sweep.at_work) == [0], "with the others taken back it may go on"
    sweep.conductor.lease(4)
    assert _handed_out(sweep) == [2, 3]


@pytest.mark.parametrize("how", ["pause", "stop"])
def test_nothing_is_waited_for_by_a_sweep_that_stands(how: str, tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 2, trials=3)
    assert _handed_out(sweep) == [REHEARSAL]
    halting = sweep.conductor.halting
    halting.pause(True) if how == "pause" else halting.stop("no_new", "stopped on request")
    assert sweep.conductor.withdrawing.taken_back([REHEARSAL]) == [REHEARSAL]
    assert (sweep.conductor.stands_by, sweep.conductor.finished) == (how == "pause", how == "stop")
    if how == "pause":
        halting.pause(False)
        assert sweep.to_the_end()[-1].state == "completed"


def test_one_that_is_over_waits_no_longer(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 2, trials=2)
    sweep.conductor.lease(1)
    sweep.begin()
    sweep.conductor.lease(2)
    assert _handed_out(sweep) == [1]
    sweep.conductor._transitions.stop(1, "somebody wants it so")
    assert sweep.conductor.withdrawing.taken_back([1]) == [1]
    assert [trial.state for trial in sweep.to_the_end()] == ["completed", "pruned"]


def test_no_worker_is_kept_where_nothing_was_handed_out_for_a_while_and_none_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Driven(tmp_path, 3, trials=2)
    now = [time.monotonic()]
    monkeypatch.setattr(hand_out.time, "monotonic", lambda: now[0])
    keeps_none = sweep.conductor.keeps_no_worker
    for handed_out in ([REHEARSAL], [0, 1]):
        now[0] += hand_out.IDLE + 1
        assert keeps_none(waits=False)
        assert not keeps_none(waits=True), "who waits is to have the next worker that is free"
        sweep.hand_out()
        assert list(sweep.at_work) == handed_out
        assert not keeps_none(waits=False), "a trial may follow"
        if REHEARSAL in sweep.at_work:
            sweep.report(REHEARSAL)


def test_what_waits_is_handed_out_anew_where_other_machines_are_to_be_avoided_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {HERE.node: HERE.machine, "other": "other", "": TO_COME}
    sweep = Driven(tmp_path, 2, trials=3, nodes=lambda: nodes)
    withdrawing = sweep.conductor.withdrawing
    now = [0.0]
    monkeypatch.setattr(withdrawing, "_clock", lambda: now[0])
    sweep.begin()
    sweep.leave(0)
    work = sweep.conductor.next_work()
    assert work is not None
    assert (work.number, work.avoid) == (0, (HERE.node,))
    assert withdrawing.taken_back([0]) == []
    del nodes["other"]  # and the only one that is left is not to be had, as Ray was told
    assert withdrawing.taken_back([0]) == [], "Ray is not asked at every turn what there is"
    now[0] = LOOK_EVERY
    assert withdrawing.taken_back([0]) == [0]
    sweep.hand_out()
    assert (set(sweep.at_work), sweep.at_work[0].avoid) == ({0, 1}, ())
    now[0] *= 2
    assert withdrawing.taken_back([]) == []
    assert [trial.state for trial in sweep.to_the_end()] == ["completed"] * 3


def test_one_that_waits_to_be_alone_on_a_machine_that_is_gone_is_handed_out_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {HERE.node: HERE.machine, "other": "other"}
    sweep = Driven(tmp_path, 1, trials=1, nodes=lambda: nodes)
    withdrawing, alone = sweep.conductor.withdrawing, sweep.conductor.alone
    monkeypatch.setattr("sweeper.scheduling.conducting.withdrawing.LOOK_EVERY", 0.0)
    sweep.begin()
    sweep.fail(0, "out_of_memory", "MemoryError")
    work = sweep.conductor.next_work()
    assert work is not None
    assert work.alone
    machines = {node: Given(4, 0, 1) for node in nodes}
    assert alone.machine_for(0, machines) == HERE.node
    assert withdrawing.taken_back([0]) == []
    del nodes[HERE.node], machines[HERE.node]
    assert withdrawing.taken_back([0]) == [0]
    sweep.hand_out()
    assert sweep.at_work[0].alone
    assert alone.machine_for(0, machines) == "other"
    assert withdrawing.taken_back([0]) == []
