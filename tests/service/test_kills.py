"""SIGKILL and SIGSTOP of dispatcher and drivers while sweeps of two people run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sweeper.search.reader import read_study
from sweeper.service.settings import DATABASE_VARIABLE
from sweeper.service.state import events
from sweeper.service.state.database import Database
from sweeper.sweepfile.load import sweep_from_dict
from tests.service.jobs import ROOT, Processes
from tests.service.test_dispatching import STEPS, Lab, check_stream

TRIALS = 5
PATIENCE = 240.0
SWEEPS = {"a": "ada", "b": "ben"}


class Killed(Lab):
    """A lab whose dispatcher and drivers are processes."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database, folder)
        self.folder = folder / "jobs"
        self.folder.mkdir()
        self.processes = Processes(self.folder, self.home, database.url, ())
        self.dispatcher: subprocess.Popen[bytes] | None = None

    def dispatch(self) -> None:
        """Start a dispatcher, where none is at work."""
        if self.dispatcher is not None and self.dispatcher.poll() is None:
            return
        environment = {"PYTHONPATH": str(ROOT), "SWEEPER_HOME": str(self.home.path)}
        with (self.folder / f"dispatcher-{time.time_ns()}.log").open("wb") as output:
            self.dispatcher = subprocess.Popen(
                [sys.executable, "-m", "tests.service.dispatching_process", str(self.folder)],
                cwd=ROOT,
                env={**os.environ, **environment, DATABASE_VARIABLE: self.database.url},
                stdout=output,
                stderr=output,
            )

    def drivers(self) -> list[psutil.Process]:
        """Those that live."""
        found = []
        for pid in self.processes.pids():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def to_the_end(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not all(self.entry(name).over for name in SWEEPS):
            self.dispatch()
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(f"{file.name}:\n{file.read_text()}" for file in self.folder.glob("*.log"))


@contextmanager
def killed(database: Database, folder: Path) -> Iterator[Killed]:
    lab = Killed(database, folder)
    for name, owner in SWEEPS.items():
        lab.submit(name, owner, trials=TRIALS, seconds=0.3)
    try:
        yield lab
    finally:
        if lab.dispatcher is not None:
            lab.dispatcher.kill()
            lab.dispatcher.wait()
        for driver in lab.drivers():
            driver.kill()


def check_everything(lab: Killed) -> None:
    """Both sweeps are finished, each trial once, and the stream has all of it once."""
    for name in SWEEPS:
        entry = lab.entry(name)
        assert (entry.lease.state, entry.driver and entry.driver.outcome) == ("finished",) * 2
        study = read_study(sweep_from_dict(entry.sweep.spec), lab.home.sweep(name))
        assert study is not None
        assert [trial.state for trial in study.trials()] == ["completed"] * TRIALS
        for trial in study.trials():
            assert [evaluation.step for evaluation in trial.evaluations] == [1, 2, 3]
            trained = (lab.home.sweep(name).trial(trial.number) / "trained").read_text().split()
            assert max(Counter(trained).values()) == 1, "a step that was saved is trained again"
        check_stream(lab, name)
        # What is metered is the study's: no step less, and what was lost with a driver besides.
        assert entry.driver is not None
        assert entry.driver.cpu_seconds >= 0.3 * TRIALS * STEPS
    with lab.database.reading() as session:
        numbers = [event.id for event in events.events_after(session, 0)]
    assert numbers == list(range(1, len(numbers) + 1))


def _seeds(*seeds: int) -> list[object]:
    """The first in CI, the others with the slow rest."""
    return [pytest.param(s, marks=[pytest.mark.slow] if s else []) for s in seeds]


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("seed", _seeds(*range(6)))
def test_dispatcher_and_drivers_may_be_killed_at_any_moment(
    database: Database, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with killed(database, tmp_path) as lab:
        for _ in range(4):
            lab.dispatch()
            time.sleep(chance.uniform(0.2, 6.0))
            drivers = lab.drivers()
            if drivers and chance.random() < 0.7:
                chance.choice(drivers).kill()
            elif lab.dispatcher is not None:
                lab.dispatcher.kill()
                lab.dispatcher.wait()
        lab.to_the_end()
        check_everything(lab)


@pytest.mark.slow
def test_a_driver_that_slept_while_another_took_over_writes_nothing_more(
    database: Database, tmp_path: Path
) -> None:
    with killed(database, tmp_path) as lab:
        lab.dispatch()
        lab.wait(lambda: (driver := lab.entry("a").driver) is not None and driver.at_work > 0)
        slept = lab.entry("a").driver
        assert slept is not None
        assert slept.pid is not None
        (lab.folder / slept.job).write_text("")  # nobody can end it: its machine is out of reach
        os.kill(slept.pid, signal.SIGSTOP)
        try:
            lab.wait(lambda: lab.entry("a").driver.attempt > slept.attempt)
        finally:
            os.kill(slept.pid, signal.SIGCONT)
        lab.to_the_end()
        check_everything(lab)
        assert not psutil.pid_exists(slept.pid) or (
            psutil.Process(slept.pid).status() == psutil.STATUS_ZOMBIE
        )
