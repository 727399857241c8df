"""A store as S3 has it, on this machine, for as long as a block is.

with s3_server() as environment:        # what processes need to reach it
    fsspec.filesystem("s3", …)          # of this process, once the environment is set
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.service.served import free_port

BUCKET = "sweeps"


class S3:
    """The server: its `environment` for clients, and how it is killed and started again."""

    def __init__(self, log: Path, host: str = "127.0.0.1") -> None:
        self._log = log
        self._host = host
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with an empty bucket."""
        command = [sys.executable, "-m", "moto.server", "-H", self._host, "-p", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                request = urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, "moto's server does not answer"
                time.sleep(0.1)

    def pause(self) -> None:
        """It answers nobody until it goes on, as a store that is cut off."""
        assert self._process is not None
        self._process.send_signal(19)

    def go_on(self) -> None:
        """It answers again."""
        assert self._process is not None
        self._process.send_signal(18)

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def s3_server(folder: Path, host: str = "127.0.0.1") -> Iterator[S3]:
    """A server at this host with a bucket named `sweeps`, whose log is in `folder`."""
    server = S3(folder / "moto.log", host)
    try:
        server.start()
        yield server
    finally:
        server.stop()
