"""A sweep as a job of Slurm, whose allocations end before it does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.home import Home, SweepFolder
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from tests.integration.slurm import missing, slurm
from tests.integration.test_end_to_end import SWEEP

SCRIPT = Path(__file__).parents[2] / "docker" / "slurm" / "sweep.sbatch"
STEPS = 3000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(missing()), reason=missing() or "there is a Slurm"),
]


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not happened():
        assert time.monotonic() < deadline, "it takes for ever"
        time.sleep(0.2)


def _steps(folder: SweepFolder) -> list[int]:
    """How far the first two trials have come."""
    return [trial.steps for trial in records_of(folder, sweep_of(folder))[:2]]


def test_a_sweep_whose_allocation_ends_twice_in_the_middle_finishes(tmp_path: Path) -> None:
    file, home, log = tmp_path / "tiny.yaml", tmp_path / "home", tmp_path / "log"
    longer = SWEEP.replace("steps: 4", f"steps: {STEPS}").replace("every: 2", "every: 100")
    file.write_text(longer.replace("trials: 3", "trials: 4"))
    folder = Home(home).sweep("tiny")
    checkpoints = [folder.trial(number) / "checkpoint.pt" for number in (0, 1)]
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with slurm() as cluster:
        job = cluster.submit(
            "--nodes=2", "--time=30", "--signal=B:USR1@600", f"--output={log}", str(SCRIPT),
            *(str(file), "--home", str(home)), environment={"PATH": programs},
        )  # fmt: skip
        _until(lambda: all(one.exists() for one in checkpoints))
        cluster.shorten(job)
        cluster.start_again(job)
        assert "is about to go (the time limit is near): its trials move" in log.read_text()
        assert "every trial goes on from its checkpoint" in log.read_text()
        assert [trial.state for trial in records_of(folder, sweep_of(folder))] == ["running"] * 2

        steps = _steps(folder)
        _until(lambda: all(now > before for now, before in zip(_steps(folder), steps, strict=True)))
        cluster.requeue(job)
        cluster.start_again(job)

        cluster.wait_for(job, "COMPLETED")
        told = cluster.told(job)
    assert (told["Restarts"], told["ExitCode"]) == ("2", "0:0")
    trials = records_of(folder, sweep_of(folder))
    assert [(trial.state, trial.steps) for trial in trials] == [("completed", STEPS)] * 4
    # The first notice may have found one on the other node, which had none yet.
    assert all(trial.attempts in (3, 4) for trial in trials[:2])
    assert list(Path("/tmp").glob(f"ray-{job}.*")) == []
