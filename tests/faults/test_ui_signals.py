"""`sweeper ui`, the real one: when it is asked to end, MLflow's server no longer listens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sweeper.tracking.store import Store
from sweeper.tracking.ui import free_port


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.slow
def test_sigterm_to_the_ui_ends_mlflows_server(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts")
    port = free_port(0)
    command = [
        sys.executable,
        "-m",
        "sweeper",
        "ui",
        "--home",
        str(tmp_path),
        "--port",
        str(port),
    ]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with subprocess.Popen(command, env=environment) as serving:
        deadline = time.monotonic() + 60
        while not answers(port) and time.monotonic() < deadline:
            assert serving.poll() is None
            time.sleep(0.2)
        assert answers(port)
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(30) == 143
    assert not answers(port)
