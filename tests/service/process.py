"""`sweeper serve` as a process on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "RAY_ADDRESS": "127.0.0.1:9"}
"""An MLflow and a Ray that are named, so that none is started."""

ALL_OF_IT = {"MLFLOW_TRACKING_URI": "", "RAY_ADDRESS": ""}

TOKEN = re.compile(r"swp_[a-z2-7]+_[\w-]{43}")


@dataclass
class Process:
    """`sweeper serve` on a terminal of its own."""

    home: Path
    port: int
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: dict(NOWHERE))
    said: str = ""

    def start(self) -> None:
        self._terminal, theirs = pty.openpty()
        program = Path(sys.executable).with_name("sweeper")
        self.process = subprocess.Popen(
            [program, "serve", "--home", self.home, "--port", str(self.port), *self.arguments],
            env={**os.environ, **self.environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, words: str, seconds: float = 90.0) -> str:
        """What it has said, once that has these words in it."""
        deadline = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < deadline, f"never said {words!r}: {self.said}"
            if select.select([self._terminal], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self._terminal, 1 << 16).decode()
                except OSError:  # it has ended
                    assert words in self.said, self.said
        return self.said

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(60)
        with contextlib.suppress(OSError):
            while more := os.read(self._terminal, 1 << 16):
                self.said += more.decode()
        os.close(self._terminal)
        return status
