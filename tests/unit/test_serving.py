"""A server ends with whoever serves it: no signal, not even SIGKILL, leaves it behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVER = """
import signal, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
signal.signal(signal.SIGTERM, lambda number, frame: worker.send_signal(number))
sys.exit(abs(worker.wait()))
"""
"""As MLflow's is: a process that starts the one that listens, and passes SIGTERM on."""

WORKER = """
import os, socket, sys, time
with socket.socket() as listening:
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    with open(sys.argv[1] + ".new", "w") as told:
        told.write(str(listening.getsockname()[1]))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(60)
"""

SERVE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, also where this test
signal.signal(signal.SIGHUP, signal.SIG_DFL)              # runs in the background or under nohup
from sweeper.tracking.serving import run_server
sys.exit(run_server([sys.executable, "-c", *sys.argv[1:]], os.environ))
"""


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: object, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 0),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        pytest.param(
            signal.SIGKILL,
            -9,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child"),
        ),
    ],
)
def test_whatever_ends_who_serves_ends_the_server(number: int, status: int, tmp_path: Path) -> None:
    told = tmp_path / "port"
    with subprocess.Popen([sys.executable, "-c", SERVE, SERVER, WORKER, str(told)]) as serving:
        assert wait_for(told.exists)
        port = int(told.read_text())
        assert answers(port)
        serving.send_signal(number)
        assert serving.wait(30) == status
    assert wait_for(lambda: not answers(port))


def test_a_server_that_ends_badly_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    told = tmp_path / "port"
    leaves = SERVER.replace("sys.exit(abs(worker.wait()))", "import os, time\n") + (
        "while not os.path.exists(sys.argv[2]): time.sleep(0.05)\nsys.exit(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", SERVE, leaves, WORKER, str(told)], stderr=subprocess.PIPE, text=True
    )
    assert "the server has ended with status 3" in done.stderr
    assert not answers(int(told.read_text()))
