"""kill -9 of the driver and its group at random moments, then the same command again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from sweeper.scheduling.cluster.servers import is_dead
from tests.faults.killing import (
    ALL,
    IN_CI,
    Driver,
    check_everything,
    moment,
    run_to_the_end,
    title,
)

AT_WORK = ("ray::_Inner", "ray::Worker", "raylet", "gcs_server")
"""Ray's agents are not among them: they tell a dead server of its death for a minute, and end."""
SEEDS = [pytest.param(seed, marks=() if seed in IN_CI else pytest.mark.slow) for seed in ALL]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_driver_loses_nothing_and_repeats_nothing(seed: int, tmp_path: Path) -> None:
    with Driver(tmp_path) as driver:
        if seed % 5 == 4:
            moment(seed, 15.0)  # also while everything is still starting
        else:
            driver.wait_for_training()
            moment(seed, 4.0)
        family = driver.family()
        os.killpg(driver.pid, signal.SIGKILL)
        driver.end()
        all_at_work_die(family)
    run_to_the_end(tmp_path)
    check_everything(tmp_path)


def all_at_work_die(family: list[psutil.Process]) -> None:
    """Nothing of a killed driver may go on training, or wait for somebody who does."""
    deadline = time.monotonic() + 30
    while True:
        alive = [one for one in family if not is_dead(one) and title(one).startswith(AT_WORK)]
        if not alive:
            return
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)
