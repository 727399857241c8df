"""How long a trial may be silent, and what its process leaves when it ends itself for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.scheduling.conducting.retries import Retries
from sweeper.scheduling.working import silence
from sweeper.scheduling.working.attempts import hand_out, silent_in
from sweeper.scheduling.working.silence import Intervals
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation, Trial

HANG = """
import ctypes, os, sys, time
from pathlib import Path
from sweeper.scheduling.working import silence

def where_it_hangs():
    {hang}

silence._GRACE = 0.5
room = Path(sys.argv[1])
with (room / "log.txt").open("a") as log, silence.ended_when_silent(0.3, room, log.fileno()):
    where_it_hangs()
"""


@pytest.mark.parametrize(
    ("hang", "status", "told"),
    [
        ("time.sleep(60)", silence.STATUS, "no progress for 0.3 s (limits.trial_silence)"),
        ("ctypes.PyDLL(None).sleep(60)", 1, ""),  # it holds Python's lock all the while
    ],
)
def test_a_process_that_hangs_ends_itself_and_says_where_it_stood(
    hang: str, status: int, told: str, tmp_path: Path
) -> None:
    room = hand_out(tmp_path / "trial")
    code = HANG.format(hang=hang)
    ended = subprocess.run([sys.executable, "-c", code, str(room)], timeout=30, check=False)
    assert ended.returncode == status
    assert "in where_it_hangs" in (room / "log.txt").read_text()
    assert silent_in(tmp_path / "trial") == told


def test_a_process_that_goes_on_in_time_lives(tmp_path: Path) -> None:
    room = hand_out(tmp_path / "trial")
    code = HANG.format(hang="pass") + "time.sleep(1.5)"
    subprocess.run([sys.executable, "-c", code, str(room)], timeout=30, check=True)
    assert (room / "log.txt").read_text() == silent_in(tmp_path / "trial") == ""


def told(*marks: tuple[int, float]) -> Trial:
    evaluations = tuple(Evaluation(step, at, {"fid": 1.0}) for step, at in marks)
    return Trial(0, "pruned", evaluations=evaluations)


def test_what_is_known_of_the_sweep_says_how_long_a_trial_may_be_silent() -> None:
    auto, given = Limits(), Limits(trial_silence=5.0)
    assert Intervals([]).allowed(auto) is None
    assert Intervals([told((1, 0.0), (2, 1.0))]).allowed(auto) == silence.LEAST
    hour = Intervals([told((1, 0.0), (2, 3600.0))])
    assert (hour.allowed(auto), hour.allowed(given)) == (silence.MULTIPLE * 3600.0, 5.0)


def test_the_longest_interval_is_of_trials_before_and_of_those_at_work() -> None:
    before = told((100, 10.0), (200, 20.0), (400, 40.0), (500, 1e6))  # a night before the last
    clock = iter([0.0, 5.0, 100.0, 900.0, 910.0]).__next__
    intervals = Intervals([before, Trial(1, "waiting")], clock)
    assert intervals.longest == pytest.approx(20.0)
    intervals.begun(2)
    intervals.heard(2)
    intervals.heard(2)
    assert intervals.longest == 95.0
    intervals.begun(2)  # again, after its worker was gone for long
    intervals.heard(2)
    assert intervals.longest == 95.0


def test_a_trial_that_hung_goes_on_once() -> None:
    retries = Retries(lambda: 2)
    assert retries.died(0, 100, {"a": 1}, hung=True) == "go on"
    assert retries.died(0, 100, {"a": 1, "b": 1}, hung=True) == "give up"
    assert retries.died(0, 200, {"a": 1}, hung=True) == "go on"
