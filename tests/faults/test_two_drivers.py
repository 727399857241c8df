"""Two drivers of one study: one is frozen, the other takes over, the first one wakes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeper.errors import LedgerError, SweepBusy
from sweeper.home import Home
from sweeper.search.driver_lock import sole_driver
from sweeper.search.reader import read_study
from tests.faults.ledger_driver import SWEEP, drive

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studies.db"
    found: str = request.getfixturevalue("empty_database")
    return found


@contextmanager
def driver(home: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    """One that has completed a trial."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.ledger_driver", str(home), address],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("completed")
        yield process
    finally:
        process.kill()
        process.communicate()


def taken_over(frozen: subprocess.Popen[str], home: Path, address: str, dice: float) -> list[int]:
    """What another home's driver does while the first one stands still."""
    for _ in range(20):
        time.sleep(dice)
        frozen.send_signal(signal.SIGSTOP)
        try:
            return drive(home, address, 3, adopt=True)
        except LedgerError:  # it stands still in the middle of a write to SQLite, which it locks
            frozen.send_signal(signal.SIGCONT)
    raise AssertionError("it stands still in a write every time")


@pytest.mark.parametrize("seed", range(2))
def test_a_driver_that_was_frozen_writes_nothing_more_and_says_why(
    seed: int, address: str, tmp_path: Path
) -> None:
    with driver(tmp_path / "first", address) as frozen:
        dice = random.Random(seed).uniform(0.0, 0.1)
        done = taken_over(frozen, tmp_path / "second", address, dice)
        study = read_study(SWEEP, Home(tmp_path / "second").sweep(SWEEP.name), address)
        assert study is not None
        before = study.trials()
        frozen.send_signal(signal.SIGCONT)
        said, _ = frozen.communicate(timeout=60)
    assert study.trials() == before
    assert [trial.number for trial in before][-3:] == done
    last = said.splitlines()[-1]
    assert last.startswith("Superseded: the study 'frozen' is now driven from")
    assert last.endswith("this driver, attempt 1, writes nothing more")


def test_two_homes_cannot_drive_one_study_and_the_driver_is_named(
    empty_database: str, tmp_path: Path
) -> None:
    with (
        driver(tmp_path / "first", empty_database) as first,
        pytest.raises(SweepBusy, match=f"sweep 'frozen' is being run by process {first.pid} on "),
        sole_driver(SWEEP.name, empty_database, take_over=False),
    ):
        pass
    with (  # it died, and so did its lock
        sole_driver(SWEEP.name, empty_database, take_over=False),
        sole_driver("another", empty_database, take_over=False),
    ):
        pass
