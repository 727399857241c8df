"""MLflow for tests: an empty database, and a real server that can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from sweeper.tracking.store import Store
from sweeper.tracking.ui import free_port, ui_address, ui_command
from sweeper.tracking.vendor import ENVIRONMENT


def make_database(folder: Path) -> Path:
    """An empty MLflow database in `folder`, to copy: making its schema takes seconds."""
    path = folder / "mlflow.db"
    store = Store(f"sqlite:///{path}", folder)
    store.experiment("Default")
    store.fold()  # copies are made of the file alone
    return path


class Server:
    """The server over one home's database, always at the same address."""

    def __init__(self, home: Path, command: Callable[[Path, int], list[str]] = ui_command) -> None:
        self.port = free_port(0)
        self._command = command(home, self.port)
        self.address = ui_address(self._command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, where it does not run."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        def up() -> bool:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=1):
                    return True
            except OSError:
                return False

        wait_for(up, 60, "the MLflow server does not come up")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def wait_for(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)
