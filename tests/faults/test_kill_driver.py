"""kill -9 of the driver at random moments, then the same command again."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from tests.faults.killing import (
    ALL,
    IN_CI,
    Driver,
    check_everything,
    moment,
    run_to_the_end,
    title,
)

WORKERS = ("ray::_Inner", "ray::Worker")
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
        psutil.Process(driver.pid).kill()
        driver.end()
        workers_die(family)
    run_to_the_end(tmp_path)
    check_everything(tmp_path)


def workers_die(family: list[psutil.Process]) -> None:
    """Nothing of a killed driver may go on training."""
    deadline = time.monotonic() + 30
    while True:
        alive = [one for one in family if one.is_running() and title(one).startswith(WORKERS)]
        if not alive:
            return
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)
