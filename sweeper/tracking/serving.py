"""A server as a child process that ends when this process does, however that ends.

Ctrl-C            the server is ended, status 0
SIGTERM, SIGHUP   the server is ended, status 143 or 129
kill -9           the kernel tells the server to end (on Linux; elsewhere it stays)
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

from sweeper.errors import TrackingError

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

GRACE = 10.0
"""Seconds for a server, and for what it has started, to end when it is asked to."""

_LOOK_EVERY = 0.2
_PR_SET_PDEATHSIG = 1


def run_server(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a server until it ends or this process is asked to. Returns the exit status of ours.

    Call it in the main thread: only there can signals be heard.

    Raises:
        TrackingError: the server has ended by itself, and not well.
    """
    with _heard() as asked:
        server = start_server(command, environment)
        try:
            while not asked and server.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(_LOOK_EVERY)
        finally:
            end_server(server)
    if asked:
        return 0 if asked[0] == signal.SIGINT else 128 + asked[0]
    if server.returncode:
        raise TrackingError(f"the server has ended with status {server.returncode}")
    return 0


def start_server(
    command: Sequence[str], environment: Mapping[str, str], output: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a server that ends with the thread that has started it. What it says goes to the
    descriptor `output`, else to where this process says it."""
    # A session of its own: all that the server starts can be ended with it, and Ctrl-C in the
    # terminal is heard here alone.
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_end_with_parent(),
    )


def end_server(server: subprocess.Popen[bytes]) -> None:
    """End the server and all that it has started, whether or not it still runs itself."""
    deadline = time.monotonic() + GRACE
    _tell(server, signal.SIGTERM)
    while _tell(server, 0) and time.monotonic() < deadline:
        server.poll()  # a zombie would count as one that is left
        time.sleep(0.05)
    _tell(server, signal.SIGKILL)
    server.wait()


@contextlib.contextmanager
def _heard() -> Iterator[list[int]]:
    """The signals that have asked this process to end; one that is ignored (nohup) stays so."""
    asked: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    kept = {number: signal.getsignal(number) for number in ENDINGS}
    for number, handler in kept.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, hear)
    try:
        yield asked
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _end_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes the server: ask the kernel to end it with its parent."""
    if sys.platform != "linux":
        return None
    parent, system = os.getpid(), ctypes.CDLL(None)

    def ask() -> None:
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has died before the kernel was asked
            os._exit(1)

    return ask


def _tell(server: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the server's group; False where none of it is left."""
    try:
        os.killpg(server.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS answers so where only zombies are left
        return False
    return True
