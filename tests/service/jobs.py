"""Places for drivers to run in: threads of the test, or processes that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.home import Home
from sweeper.service.driving.drive import drive
from sweeper.service.queue.asking import Machine
from sweeper.service.settings import DATABASE_VARIABLE
from sweeper.service.state.database import Database
from tests.service.rayless import run

ROOT = Path(__file__).parents[2]


class Threads:
    """Each driver in a thread. `refuses` says why none can be started, `deaf` starts none, `away`
    why the machines are not told."""

    def __init__(self, database: Database, home: Home, machines: Sequence[Machine]) -> None:
        self.there = list(machines)
        self.refuses = ""
        self.away = ""
        self.deaf = False
        self.started: list[str] = []
        self.ended: list[str] = []
        self._database = database
        self._home = home
        self._threads: list[threading.Thread] = []

    def machines(self) -> Sequence[Machine]:
        if self.away:
            raise SweeperError(self.away)
        return self.there

    def start(self, job: str, arguments: Sequence[str]) -> None:
        if self.refuses:
            raise SweeperError(self.refuses)
        if job in self.started:
            return
        self.started.append(job)
        if not self.deaf:
            sweep_id, attempt = arguments
            what = (self._database, self._home, sweep_id, int(attempt), run)
            self._threads.append(threading.Thread(target=drive, args=what))
            self._threads[-1].start()

    def end(self, job: str) -> None:
        self.ended.append(job)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


class Processes:
    """Each driver as a process; which have been started stands in `folder`, as Ray remembers it."""

    def __init__(self, folder: Path, home: Home, url: str, machines: Sequence[Machine]) -> None:
        self._folder = folder
        self._machines = machines
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SWEEPER_HOME": str(home.path),
            DATABASE_VARIABLE: url,
        }

    def machines(self) -> Sequence[Machine]:
        return self._machines

    def start(self, job: str, arguments: Sequence[str]) -> None:
        try:
            (self._folder / job).touch(exist_ok=False)
        except FileExistsError:
            return
        with (self._folder / f"{job}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.service.rayless", *arguments],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        (self._folder / job).write_text(str(process.pid))

    def end(self, job: str) -> None:
        for pid in self.pids(job):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pids(self, job: str = "*") -> list[int]:
        """Those of the drivers that were started, or of one."""
        files = (file for file in self._folder.glob(job) if file.suffix != ".log")
        return [int(text) for file in files if (text := file.read_text())]
