"""Starting the small sweep, killing a part of it, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from sweeper.home import Home
from sweeper.search.reader import read_study
from sweeper.tracking.runs import find_runs
from tests.fakes import FakeTraining
from tests.faults.driver import REPLICATES, STEPS, SWEEP, TRIALS
from tests.recorded import metric_history

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0
IN_CI = (0,)
ALL = range(10)
"""Seeds of the random moments: a few for every change, ten for `make test-all`."""


class Driver:
    """One run of a sweep, in a `with` block that leaves none of its processes behind.

    `arguments` are the module that runs it and what that is told; the small sweep by default.
    """

    def __init__(
        self,
        home: Path,
        *arguments: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self._log = log or home / f"driver-{time.time_ns()}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *(arguments or ("tests.faults.driver", str(home)))],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._family: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for one in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._log.read_text()

    def alive(self) -> bool:
        return self._process.poll() is None

    def family(self) -> list[psutil.Process]:
        """All processes that it has started and that still live, itself not counted."""
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.pid).children(recursive=True)
            self._family |= {one.pid: one for one in found}
        return [one for one in self._family.values() if one.is_running()]

    def wait_for_training(self) -> None:
        """Until the first checkpoint of the whole sweep."""
        trials = Home(self.home).sweep(SWEEP.name).trials
        deadline = time.monotonic() + PATIENCE
        while not any(trials.glob("*/checkpoint.json")):
            assert self.alive(), f"the driver ended before its first checkpoint: {self.output}"
            assert time.monotonic() < deadline, "there is no first checkpoint"
            time.sleep(0.02)

    def end(self) -> int:
        """Wait for its end. Returns its exit status."""
        while self.alive():
            self.family()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1.0)
        return self._process.returncode


def run_to_the_end(home: Path) -> str:
    with Driver(home) as driver:
        assert driver.end() == 0, driver.output
        return driver.output


def moment(seed: int, longest: float) -> None:
    time.sleep(random.Random(seed).uniform(0.0, longest))


def title(process: psutil.Process) -> str:
    """What a process calls itself; empty for one that is gone."""
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def check_everything(home: Path) -> None:
    """Every number once, none running, no step twice or missing, and MLflow has the same."""
    folder = Home(home).sweep(SWEEP.name)
    ledger = read_study(SWEEP, folder)
    assert ledger is not None
    records = ledger.trials()
    assert [one.number for one in records] == list(range(TRIALS + REPLICATES))
    assert Counter(one.role for one in records) == {"search": TRIALS, "replicate": REPLICATES}
    assert {one.state for one in records} == {"completed"}
    steps = list(range(1, STEPS + 1))
    for one in records:
        expected = FakeTraining({**one.config, "seconds": 0}, folder.trial(one.number), home)
        values = [_value(expected) for _ in steps]
        assert one.curve("fid") == dict(zip(steps, values, strict=True))
        trained = (folder.trial(one.number) / "trained").read_text().split()
        assert max(Counter(trained).values()) == 1, f"{one.name} trained a saved step again"
    _check_mlflow(home, len(records), steps)


def _value(training: FakeTraining) -> float:
    """One step of the same training without its files."""
    step = training.step + 1
    x, y = training.config["x"], training.config["y"]
    training.state = 0.5 * training.state + 0.1 * x
    value = (x - 0.3) ** 2 + (y - 0.7) ** 2 + training.state / step
    training.history.append(type("Done", (), {"step": step})())
    return float(value)


def _check_mlflow(home: Path, trials: int, steps: list[int]) -> None:
    uri = f"sqlite:///{home}/mlflow.db"
    runs = find_runs(uri, SWEEP.name)
    tags = Counter(run["tags"]["sweeper.trial"] for run in runs)
    assert tags == {**{f"{number:05d}": 1 for number in range(trials)}, "sweep": 1}
    assert {run["status"] for run in runs} == {"FINISHED"}
    for run in runs:
        if run["tags"]["sweeper.trial"] != "sweep":
            history = metric_history(uri, run["run_id"], "fid")
            assert [step for step, _, _ in history] == steps
