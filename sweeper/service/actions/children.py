"""Verbs of the command line in a process of their own: what takes seconds of computing, and would
hold up the server's readers in its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from sweeper.home import Home
from sweeper.secrets import for_children
from sweeper.service.problem import Refusal

PATIENCE = 120.0
"""Seconds that a verb may take."""

_turn = threading.Lock()


class VerbFailed(Exception):  # noqa: N818 - what happened
    """The verb has ended with a complaint, which is the message."""


def run_verb(home: Home, *arguments: str) -> bytes:
    """Run `sweeper ARGUMENTS` on this home, one at a time; what it printed.

    Raises:
        VerbFailed: it complains.
        Refusal: others keep the server busy with such work, or it takes too long; status 503.
    """
    if not _turn.acquire(timeout=PATIENCE):
        raise _unavailable("The server is busy computing for others: try again in a minute.")
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
    finally:
        _turn.release()
    if done.returncode:
        raise VerbFailed(done.stderr.decode(errors="replace").strip().removeprefix("sweeper: "))
    return done.stdout


def _unavailable(title: str) -> Refusal:
    return Refusal(503, "unavailable", title, headers={"retry-after": "60"})
