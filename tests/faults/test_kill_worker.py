"""kill -9 of a trial's worker at random moments: the sweep itself goes on."""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.killing import ALL, IN_CI, Driver, check_everything, moment, title

SEEDS = [pytest.param(seed, marks=() if seed in IN_CI else pytest.mark.slow) for seed in ALL]
KILLS = 3
WORKERS = ("ray::_Inner", "ray::Worker")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_workers_are_replaced_and_their_trials_go_on(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    killed = 0
    with Driver(tmp_path) as driver:
        driver.wait_for_training()
        deadline = time.monotonic() + 60
        while killed < KILLS and driver.alive() and time.monotonic() < deadline:
            moment(chance.randrange(1 << 30), 1.5)
            # Training, being reset for its next trial, waiting for one, or just starting.
            workers = [one for one in driver.family() if title(one).startswith(WORKERS)]
            if workers:
                with contextlib.suppress(psutil.NoSuchProcess):  # Ray has ended it meanwhile
                    chance.choice(workers).kill()
                    killed += 1
        assert killed
        assert driver.end() == 0, driver.output
    check_everything(tmp_path)
