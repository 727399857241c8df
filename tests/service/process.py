"""`sweeper serve` as a process on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
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
        terminal, theirs = pty.openpty()
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
        # Read all the time: whoever writes to a terminal that nobody reads is kept waiting.
        self._reader = threading.Thread(target=self._read, args=(terminal,), daemon=True)
        self._reader.start()

    def until(self, words: str, seconds: float = 90.0) -> str:
        """What it has said, once that has these words in it."""
        deadline = time.monotonic() + seconds
        while words not in self.said:
            assert self._reader.is_alive(), f"ended without {words!r}: {self.said}"
            assert time.monotonic() < deadline, f"never said {words!r}: {self.said}"
            time.sleep(0.05)
        return self.said

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join()
        return status

    def _read(self, terminal: int) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(terminal, 1 << 16):
                self.said += more.decode(errors="replace")
        os.close(terminal)
