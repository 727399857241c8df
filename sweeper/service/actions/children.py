"""Verbs of the command line in a process of their own: what takes seconds of computing, and would
hold up the server's readers in its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from sweeper.home import Home
from sweeper.secrets import for_children
from sweeper.service.problem import Refusal

PATIENCE = 120.0
"""Seconds that a verb may take."""

MOST_WAITING = 3
"""Who may wait for the turn. Each has one of the threads that answer everybody; further ones are
told at once to come back."""

_turn = threading.Lock()
_places = threading.BoundedSemaphore(1 + MOST_WAITING)


class VerbFailed(Exception):  # noqa: N818 - what happened
    """The verb has ended with a complaint, which is the message."""


def run_verb(home: Home, *arguments: str, needed: Callable[[], bool] = lambda: True) -> bytes:
    """Run `sweeper ARGUMENTS` on this home, one at a time; what it printed. Nothing is run where it
    is not `needed` any more when its turn comes.

    Raises:
        VerbFailed: it complains.
        Refusal: others keep the server busy with such work, or it takes too long; status 503.
    """
    with _its_turn():
        return _run(home, arguments) if needed() else b""


def _run(home: Home, arguments: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sweeper", *arguments, "--home", str(home.path)],
            capture_output=True,
            env=for_children(os.environ),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"This takes more than {PATIENCE:g} s here.") from error
    if done.returncode:
        raise VerbFailed(done.stderr.decode(errors="replace").strip().removeprefix("sweeper: "))
    return done.stdout


@contextlib.contextmanager
def _its_turn() -> Iterator[None]:
    """Have the turn for the length of the block.

    Raises:
        Refusal: too many wait for it, or it does not come; status 503.
    """
    busy = "The server is busy computing for others: try again in a minute."
    if not _places.acquire(blocking=False):
        raise _unavailable(busy)
    try:
        if not _turn.acquire(timeout=PATIENCE):
            raise _unavailable(busy)
        try:
            yield
        finally:
            _turn.release()
    finally:
        _places.release()


def _unavailable(title: str) -> Refusal:
    return Refusal(503, "unavailable", title, headers={"retry-after": "60"})
