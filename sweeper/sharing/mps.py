"""NVIDIA's MPS: one daemon a machine, under which processes on one GPU compute at the same time.

    with under_mps():      a driver, a worker
        …

One that answers already, somebody else's or another sweep's, is used as it is. Else one is started,
in a folder of this account's; whoever uses it holds a shared lock there, which dies with its
holder, and the last to leave stops the daemon. What a killed user has left running the next one
finds, and stops as its own. Without NVIDIA's program, or where that fails, nothing happens:
processes take turns on the GPU.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
"""NVIDIA's program, which starts the daemon and talks with it."""

PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
"""Variables that say where a daemon is."""

DEVICES = "CUDA_VISIBLE_DEVICES"
"""A daemon has the GPUs that its starter sees, and its clients count them anew."""

ANSWER_IN = 10.0
"""Seconds for the program to do what it is told."""


@contextlib.contextmanager
def under_mps() -> Iterator[None]:
    """Inside, this process and those that it starts compute under MPS, where there is one."""
    if shutil.which(CONTROL) is None or runs():
        yield
        return
    place = _place(make=True)
    if place is None:
        yield
        return
    kept = {name: os.environ.get(name) for name in (PIPES, LOGS)}
    with (place / "users").open("ab") as users:
        if not _join(place, users.fileno()):
            yield
            return
        os.environ.update(_environment(place))
        try:
            yield
        finally:
            for name, value in kept.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            _leave(place, users.fileno())


def runs() -> bool:
    """Whether a daemon answers where this process would look for one."""
    return _told("get_server_list", os.environ)


def in_words() -> tuple[bool, str]:
    """Whether there is MPS on this machine, and a sentence about it."""
    if shutil.which(CONTROL) is None:
        return False, f"no {CONTROL}: trials that share a GPU take turns on it"
    place = _place(make=False)
    ours = place is not None and _told("get_server_list", {**os.environ, **_environment(place)})
    if ours:
        return True, f"runs, started by a sweep ({place})"
    if runs():
        return True, "runs, and was started by somebody else"
    return True, "can be started: a sweep does so with resources.mps: true"


def _join(place: Path, users: int) -> bool:
    """Be one of the daemon's users, and start it where it does not run. False where it cannot."""
    with _alone(place):
        fcntl.flock(users, fcntl.LOCK_SH)
        environment = {**os.environ, **_environment(place)}
        # All of the machine's GPUs, not those that Ray lets this process see.
        everything = {name: value for name, value in environment.items() if name != DEVICES}
        return _told("get_server_list", environment) or _run(("-d",), "", everything)


def _leave(place: Path, users: int) -> None:
    """Be a user no more, and stop the daemon where nobody else is one."""
    with _alone(place), contextlib.suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _told("quit", {**os.environ, **_environment(place)})


def _environment(place: Path) -> dict[str, str]:
    return {PIPES: str(place), LOGS: str(place)}


def _place(*, make: bool) -> Path | None:
    """The folder of this account's daemon; None where there is none, or where somebody else has
    made one of its name."""
    place = Path(tempfile.gettempdir()) / f"sweeper-mps-{os.getuid()}"
    try:
        if make:
            place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return place if mine and not found.st_mode & 0o077 else None


def _told(command: str, environment: Mapping[str, str]) -> bool:
    """Whether the daemon that the environment names has done this."""
    return _run((), f"{command}\n", environment)


def _run(arguments: tuple[str, ...], said: str, environment: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            (CONTROL, *arguments),
            input=said,
            text=True,
            env=dict(environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_IN,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """While nobody else of this account starts or stops the daemon."""
    with (place / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
