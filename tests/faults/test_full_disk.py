"""The disk fills up under a running sweep: a clear stop, nothing corrupt, and it goes on later."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.killing import Driver, check_everything, run_to_the_end


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_disk_stops_the_sweep_clearly_and_room_lets_it_go_on(
    small_disk: Path, tmp_path: Path
) -> None:
    ballast = small_disk / "ballast"
    with Driver(small_disk, log=tmp_path / "driver.log") as driver:
        driver.wait_for_training()
        _fill(ballast)
        assert driver.end() == 1, driver.output
    assert "o space left" in driver.output or "full" in driver.output, driver.output
    assert "Traceback" not in driver.output
    ballast.unlink()
    run_to_the_end(small_disk)
    check_everything(small_disk)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
