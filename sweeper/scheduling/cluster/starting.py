"""How a Ray of our own is made to start: on the loopback interface, with a token, without what one
driver has no use for, out of reach of signals to the driver's group, and so that the rest of the
driver goes on meanwhile.

Ray has no settings for some of it. What is put in place here of its own is taken away again, and a
Ray that has no such place starts in its own way.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ray

OTHER_SYSTEMS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where this is off, a machine's address is 127.0.0.1 for Ray, and its servers listen there."""

AUTHENTICATION = "RAY_AUTH_MODE"

START_LOOK_EVERY = 0.1
"""Seconds between two looks around while Ray starts."""

PORT_LOOK_MS = 50
"""Milliseconds of one look of Ray's for a port, in which no other thread runs."""

IDLE_SERVERS = ("start_monitor", "start_log_monitor", "start_api_server")
"""What of Ray's a Ray of one driver has no use for: its autoscaler, the reader of its workers'
logs, which are files of the trials here, and the server of its pages and jobs."""

LONGEST_FOLDER = 43
"""Bytes of the path of Ray's folder: that of the longest socket in it has 64 bytes more, and may
have no more than 107."""


def parent_for(name: str) -> Path:
    """Where Ray's folder of this name may lie, which may have to be made: where RAY_TMPDIR says or
    else temporary files do, or in /tmp where its path would be too long there. Absolute."""
    usual = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()).absolute()
    fits = len(os.fsencode(usual / name)) <= LONGEST_FOLDER
    return usual if fits else Path("/tmp")


@contextlib.contextmanager
def of_our_own(lies_in: Callable[[Path], None]) -> Iterator[None]:
    """What Ray starts inside the block is ours alone. `lies_in` is told the folder of its logs and
    sockets as soon as there is one: by its name, another machine's or container's may be like it.
    """
    with _loopback(), _patient(), _lean(), _apart(), _telling(lies_in):
        yield


def ask_for_token() -> bool:
    """Have the Ray that starts next ask for a token, until `ask_no_more`. Whether that is so by
    this call: who has chosen otherwise is left alone."""
    if AUTHENTICATION in os.environ:
        return False
    os.environ[AUTHENTICATION] = "token"
    ray._raylet.Config.initialize("")  # Ray has read its environment long ago
    return True


def ask_no_more() -> None:
    """Take back what `ask_for_token` has set, once its Ray has ended: what this process starts or
    joins later is not to have it."""
    os.environ.pop(AUTHENTICATION, None)
    ray._raylet.Config.initialize("")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, `ray.init` does not warn of a variable that a later version will read otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def silence_errors() -> None:
    """Keep off the terminal what Ray's agents report: of a server's death, twenty lines of its log.

    A Ray without this function of its own prints them, and nothing else changes.
    """
    worker: Any = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *data, **options: None


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """What Ray starts inside the block can be reached from this machine alone."""
    # This process may remember the token of another Ray, which the new one's servers do not know.
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()
    kept = os.environ.get(OTHER_SYSTEMS)
    constants: Any = ray._private.ray_constants
    cluster, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
    os.environ[OTHER_SYSTEMS] = "0"
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = cluster
        if kept is None:
            del os.environ[OTHER_SYSTEMS]
        else:
            os.environ[OTHER_SYSTEMS] = kept


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """Inside, other threads go on while Ray waits for its GCS to say on which port it listens.

    Its own wait of half a minute is C++ that never lets go of the interpreter: that the GCS has
    died meanwhile, nobody could see. Many short waits are the same wait.
    """

    def patiently(wait: Any) -> Callable[..., int]:
        def by_and_by(*place: Any, timeout_ms: int) -> int:
            deadline = time.monotonic() + timeout_ms / 1000
            while True:
                try:
                    return int(wait(*place, timeout_ms=PORT_LOOK_MS))
                except RuntimeError:  # it is not there yet
                    if time.monotonic() > deadline:
                        raise
                time.sleep(START_LOOK_EVERY / 10)

        return by_and_by

    with _replaced(ray._private.node, "wait_for_persisted_port", patiently):
        yield


@contextlib.contextmanager
def _lean() -> Iterator[None]:
    """Inside, Ray starts without the servers that idle here.

    They take a third of the processor time of a start, and where cores are few the raylet does not
    wait for that: whose agents have said nothing for 15 seconds, aborts.
    """

    def left_out(start: Any) -> Callable[..., None]:
        return lambda *given, **options: None

    with contextlib.ExitStack() as stack:
        for name in IDLE_SERVERS:
            stack.enter_context(_replaced(ray._private.node.Node, name, left_out))
        yield


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Inside, Ray's servers begin sessions of their own.

    A signal to the whole group of this process, as `timeout` and a terminal that is closed send it,
    is then for this process alone, which ends them in its time. The kernel still kills them when
    this process dies. What the raylet has started ends by itself: its workers within seconds, its
    agents after a minute, also where the whole group of this process was killed. Where the
    kernel does not do so (macOS), Ray kills its group instead, and the servers stay.
    """

    def in_a_session(popen: Any) -> Callable[..., Any]:
        return partial(popen, start_new_session=True)

    if not ray._private.utils.detect_fate_sharing_support():
        yield
        return
    with _replaced(ray._private.services, "ConsolePopen", in_a_session):
        yield


@contextlib.contextmanager
def _telling(lies_in: Callable[[Path], None]) -> Iterator[None]:
    """Inside, whoever starts Ray learns of its folder before Ray has come up, or has failed to."""

    def told(make: Any) -> Callable[..., None]:
        def made(node: Any, *given: Any) -> None:
            make(node, *given)
            lies_in(Path(node.get_session_dir_path()))

        return made

    with _replaced(ray._private.node.Node, "_init_temp", told):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, made_of: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, what `owner` has of this name is what is made of it; it may have none."""
    kept = getattr(owner, name, None)
    if kept is None:
        yield
        return
    setattr(owner, name, made_of(kept))
    try:
        yield
    finally:
        setattr(owner, name, kept)
