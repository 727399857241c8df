"""kill -9 of Ray's own servers at random moments: the sweep says so, and goes on when run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killing import (
    ALL,
    Driver,
    check_everything,
    moment,
    run_to_the_end,
    title,
)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", ALL)
def test_a_killed_raylet_ends_the_sweep_clearly_and_loses_nothing(
    seed: int, tmp_path: Path
) -> None:
    server = "raylet" if seed % 3 != 1 else "gcs_server"
    with Driver(tmp_path) as driver:
        driver.wait_for_training()
        moment(seed, 2.5)
        [victim] = [one for one in driver.family() if title(one) == server]
        victim.kill()
        assert driver.end() == 1, driver.output
        assert f"Ray's {server}" in driver.output
        assert "run the sweep again" in driver.output
        assert "Traceback" not in driver.output
    run_to_the_end(tmp_path)
    check_everything(tmp_path)
