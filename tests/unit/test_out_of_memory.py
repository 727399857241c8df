"""A trial that ran out of memory is tried once more, alone on its device, whatever is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.scheduling.conducting import out_of_memory
from sweeper.scheduling.machines.places import Place
from sweeper.sweepfile.resources import Given
from sweeper.sweepfile.sections import Resources
from tests.driven import HERE, STEPS, Driven

SHARED = Resources(gpu=0.5)
REASON = "OutOfMemoryError: CUDA out of memory"


def driven(folder: Path, parallel: int = 3) -> Driven:
    made = Driven(folder, parallel, trials=4, resources=SHARED)
    made.places[2] = Place("there", "another node", ("0",))
    return made


def test_those_on_its_device_make_way_and_nothing_starts_before_it_has_its_place(
    tmp_path: Path,
) -> None:
    sweep = driven(tmp_path)
    sweep.begin()
    sweep.report(0)
    assert not any(work.alone for work in sweep.at_work.values())
    sweep.fail(0, "out_of_memory", REASON)
    work = sweep.conductor.next_work()
    assert work is not None
    assert (work.number, work.alone, work.recorded) == (0, True, (1,))
    assert sweep.conductor.keeps_no_worker(waits=True)  # Ray looks for a place
    assert sweep.conductor.next_work() is None
    sweep.report(1)
    sweep.report(2)
    assert list(sweep.at_work) == [2]  # on another device
    assert sweep.conductor.next_work() is None
    sweep.conductor.started(0)
    sweep.at_work[0] = work
    sweep.hand_out()
    assert set(sweep.at_work) == {0, 1, 2}
    assert not sweep.at_work[1].alone
    trials = sweep.to_the_end()
    assert [trial.state for trial in trials] == ["completed"] * 4
    assert [trial.steps for trial in trials] == [STEPS] * 4
    assert f"ran out of memory ({REASON}): tried once more" in trials[0].notes[0]


def test_out_of_memory_again_it_has_failed_and_says_where_it_was_alone(tmp_path: Path) -> None:
    sweep = driven(tmp_path, parallel=1)
    sweep.begin()
    for _ in range(2):
        sweep.fail(0, "out_of_memory", REASON)
        sweep.hand_out()
    failed = sweep.ledger.trial(0)
    assert (failed.state, failed.cause, failed.attempts) == ("failed", "out_of_memory", 2)
    assert failed.reason == f"out of memory again, alone on GPU 0 of {HERE.machine}: {REASON}"
    assert list(sweep.at_work) == [1]
    assert not sweep.at_work[1].alone


def test_a_worker_that_ray_killed_for_want_of_memory_has_run_out_of_it(tmp_path: Path) -> None:
    sweep = driven(tmp_path, parallel=1)
    sweep.begin()
    for expected in ("running", "failed"):
        sweep.conductor.died(0, "OutOfMemoryError: task was killed: node running low on memory")
        sweep.at_work.clear()
        sweep.hand_out()
        assert sweep.ledger.trial(0).state == expected


def test_a_kill_between_the_failure_and_the_next_try_loses_nothing(tmp_path: Path) -> None:
    sweep = driven(tmp_path, parallel=1)
    sweep.begin()
    journal = sweep.place.study_journal
    before = len(journal.read_bytes().splitlines())
    sweep.fail(0, "out_of_memory", REASON)
    sweep.hand_out()
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > before + 1
    for cut in range(before, len(lines) + 1):
        journal.write_bytes(b"".join(lines[:cut]))
        journal.with_suffix(".count").unlink(missing_ok=True)
        again = driven(tmp_path, parallel=1)
        again.begin()
        assert list(again.at_work) == [0]
        assert again.at_work[0].alone == (cut > before)  # what no study has is tried as before
        again.fail(0, "out_of_memory", REASON)
        assert (again.ledger.trial(0).state == "failed") == (cut > before)


def test_what_others_have_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_memory, "PATIENCE", 0.0)
    sweep = driven(tmp_path)
    sweep.begin()
    sweep.fail(0, "out_of_memory", REASON)
    sweep.conductor._intervals.longest = 0.0
    work = sweep.conductor.next_work()
    assert work is not None
    assert work.alone
    assert not sweep.conductor.keeps_no_worker(waits=True)
    sweep.fail(1)  # its worker is free
    following = sweep.conductor.next_work()
    assert following is not None
    assert (following.number, following.alone) == (3, False)


def test_one_that_has_a_whole_device_anyway_is_in_nobodys_way(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 2, trials=2, resources=Resources(gpu=1))
    sweep.begin()
    sweep.fail(0, "out_of_memory", REASON)
    assert sweep.conductor.next_work() is not None
    sweep.report(1)
    assert 1 in sweep.at_work


def test_without_a_gpu_room_is_made_on_the_machine_that_it_is_to_have_whole(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 3, trials=3, resources=Resources(cpu=1))
    sweep.places = {0: Place("small", "s"), 1: Place("small", "s"), 2: Place("large", "l")}
    sweep.begin()
    sweep.fail(0, "out_of_memory", REASON)
    assert sweep.conductor.next_work() is not None
    machines = {"s": Given(2, 0, 1), "l": Given(8, 0, 4)}
    assert sweep.conductor.alone.machine_for(0, machines) == "s"
    sweep.report(1)
    sweep.report(2)
    assert list(sweep.at_work) == [2]
    del machines["s"]  # it is gone: the largest is the next best
    assert sweep.conductor.alone.machine_for(0, machines) == "l"
    sweep.report(2)
    assert not sweep.at_work
