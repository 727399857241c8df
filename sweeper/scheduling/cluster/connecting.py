"""A Ray to run on: the one that $RAY_ADDRESS names, else one of our own on this machine.

Only what was started here is shut down here. A cluster of our own is quiet, has no dashboard,
listens on the loopback interface alone, asks for a token, and dies with its driver; its two servers
are watched, since a driver without them would wait forever.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NoReturn, Self

import psutil
import ray

from sweeper.errors import SweeperError, UserError
from sweeper.scheduling.cluster.growing import Growth, growth_asked_for
from sweeper.scheduling.cluster.servers import children, is_dead, server_name, servers
from sweeper.scheduling.cluster.starting import (
    START_LOOK_EVERY,
    ask_for_token,
    ask_no_more,
    of_our_own,
    parent_for,
    quiet,
    silence_errors,
)
from sweeper.sweepfile.resources import AUTO, Resources

ADDRESS_VARIABLE = "RAY_ADDRESS"

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a sweep file mean the driver's folder
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # who was given no GPU sees none
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "60",
    # Ray's own memory monitor ends an actor with an error that Tune takes for its own; without it
    # the kernel ends the worker, which is an ordinary death.
    "RAY_memory_monitor_refresh_ms": "0",
}

OBJECT_STORE = 128 << 20
"""Bytes for Ray's object store: results are a few kilobytes of text."""

END_LOOK_EVERY = 0.01
"""Seconds between two looks around while Ray ends, in which a SIGTERM would not be heard."""

LOOK_EVERY = 5.0
"""Seconds between two questions to the cluster whether our node is alive."""

CONNECT_PATIENCE = 120.0
"""Seconds for a cluster that is named to let this driver in: Ray would try a dead one on and on."""

ENDING_PATIENCE = 120.0
"""Seconds for the Ray that this process had last to be gone: one that was given up while it started
first comes up, which takes as long as ever."""

GRACE = 3.0
"""Seconds in which a driver may notice by itself that a server of its own has died. After five of
them without an answer Ray writes about it in its own words."""

_turn = threading.Lock()
"""Held for the one Ray that this process may have, until nothing of it is left."""


class ClusterLost(SweeperError):  # noqa: N818 - what happened
    """Ray has died under the driver, or the cluster cannot be joined."""


class Cluster:
    """A connection to Ray for the length of a `with` block.

    `waiting` is called over and over while Ray starts, which takes seconds; what it raises ends the
    start at once. `leaving` is called over and over while Ray ends: it gives SIGTERM back to the
    system before it does so, and whoever listens must take it again.

    A Ray that was given up while it started is first waited for; one that another Cluster of this
    process uses is refused with a UserError, as that one's end would be the end of both.
    """

    _holder: ClassVar[Cluster | None] = None
    """Whose turn it is, or was last."""

    def __init__(
        self,
        resources: Resources,
        parallel: int,
        waiting: Callable[[], None] = lambda: None,
        leaving: Callable[[], None] = lambda: None,
    ) -> None:
        self._resources = resources
        self._parallel = parallel
        self._waiting = waiting
        self._leaving = leaving
        self.own = False
        self._servers: list[psutil.Process] = []
        self._folder: Path | None = None
        self._asks = False  # for a token, which nothing else here is to do
        self._failure: SweeperError | None = None
        self._next_look = 0.0
        self._started = threading.Event()
        self._given_up = False
        self._left = threading.Event()
        self._gone = threading.Event()

    def __enter__(self) -> Self:
        self._take_turn()
        if ray.is_initialized():  # whoever has started this one ends it
            _turn.release()
        else:
            self.own = True
            self._start()
        return self

    def _take_turn(self) -> None:
        deadline = time.monotonic() + ENDING_PATIENCE
        while not _turn.acquire(timeout=START_LOOK_EVERY):
            self._waiting()
            if Cluster._holder is not None and not Cluster._holder._left.is_set():
                raise UserError(
                    "another sweep runs in this process, and its Ray ends with it: run them one "
                    "after the other, or each in a process of its own"
                )
            if time.monotonic() > deadline:
                raise ClusterLost(
                    "the Ray that this process started before has not ended yet; run the sweep "
                    "again, in a new process"
                )
        Cluster._holder = self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        if self.own:
            died, deadline = self._died(), time.monotonic() + GRACE
            going = threading.Thread(target=self._shut_down, name="ray-shutdown")
            going.start()
            while going.is_alive():
                going.join(END_LOOK_EVERY)
                self._leaving()
                if died and time.monotonic() > deadline:
                    _end_at_once(died)  # Ray waits for an answer of the dead
        self._gone.set()

    def _start(self) -> None:
        """Start Ray in a thread of its own, and wait for it.

        In the main thread Ray would take SIGTERM for itself, and no signal would reach us.
        """
        before = {child.pid for child in children()}
        named, deadline = os.environ.get(ADDRESS_VARIABLE), time.monotonic() + CONNECT_PATIENCE
        host = threading.Thread(target=self._host, name="ray-host", daemon=True)
        host.start()
        try:
            while not self._started.wait(START_LOOK_EVERY):
                self._waiting()
                known = before | {server.pid for server in self._servers}
                self._servers += [server for server in servers() if server.pid not in known]
                if died := self._died():
                    raise ClusterLost(died)
                if named and time.monotonic() > deadline:
                    raise ClusterLost(f"the Ray cluster at {named} does not answer")
            if self._failure is not None:
                raise self._failure
        except BaseException:
            self._given_up = True
            self._left.set()
            if not (named or self._failure or self._died()):
                atexit.register(self._take_away, host)
            raise

    def _host(self) -> None:
        """Start Ray, then watch it. The kernel ends Ray's servers with the thread that has started
        them, so this one stays until they are gone."""
        try:
            with quiet():
                self._connect()
            silence_errors()
            self._servers = servers()
            self._started.set()
            self._watch()
            if self._given_up:
                self._shut_down()
            else:
                self._gone.wait()
        except SweeperError as error:
            self._failure = error
            self._shut_down()  # the next start is to find nothing of this one
        finally:
            _turn.release()
            self._started.set()

    def _shut_down(self) -> None:
        """End Ray, and remove what one of our own has written; of one that has died or has not
        come up it stays, for its logs to be read."""
        died = self._died()
        ray.shutdown()
        if self._asks:
            ask_no_more()
        if self._folder is not None and not (died or self._failure):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _take_away(self, host: threading.Thread) -> None:
        """At the end of this process, end the Ray that its `host` still starts for nobody, and
        remove what that has written: such a thread dies with the process before it comes to it."""
        if not host.is_alive():
            return
        left = servers()
        for server in left:
            with contextlib.suppress(psutil.Error):
                server.kill()
        psutil.wait_procs(left, timeout=GRACE)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _lies_in(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Raise ClusterLost when Ray's servers have died. Cheap; call it often."""
        if died := self._died():
            raise ClusterLost(died)
        if self._servers or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY
        # Asked while there is none, Ray would start another one.
        if not (ray.is_initialized() and _is_alive_here()):
            raise ClusterLost(
                "this machine's part of the Ray cluster has died; run the sweep again"
            )

    def _died(self) -> str:
        """Which server of our own has died, and what to do; empty while they live."""
        for server in self._servers:
            if is_dead(server):
                return (
                    f"Ray's {server_name(server)} (process {server.pid}) has died; nothing is "
                    "lost: run the sweep again, and it continues where it stopped"
                )
        return ""

    def _watch(self) -> None:
        """End a driver that waits inside Ray for an answer of a dead server.

        Ray would end it after a minute, with a page about its own logs. The sweep is whole at every
        instant, and its writer sees to MLflow, so the driver may end as if it were killed.
        """
        while not self._left.wait(1.0):
            died = self._died()
            if died and not self._left.wait(GRACE):
                _end_at_once(died)

    def _connect(self) -> None:
        address = os.environ.get(ADDRESS_VARIABLE)
        common = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        try:
            if address:
                ray.init(address=address, runtime_env={"env_vars": ENVIRONMENT}, **common)
                return
            cpus = os.cpu_count() or 1
            if self._resources.cpu != AUTO:  # who shares counts the cores that there are
                cpus = max(cpus, math.ceil(self._resources.whole.cpu * self._parallel))
            self._asks = ask_for_token()
            with of_our_own(self._lies_in):
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE,
                    _temp_dir=str(parent_for("ray") / "ray"),
                    **common,
                )
        except Exception as error:  # Ray raises bare exceptions where a server does not come up
            if not address:
                raise SweeperError(f"cannot start Ray on this machine: {error}") from error
            raise ClusterLost(
                f"cannot join the Ray cluster at {address}: {error}{_hint()}"
            ) from error


def growth() -> Growth:
    """What may join the cluster that is named; a Ray of our own stays as it is.

    Raises:
        UserError: what is said of that is not understood.
    """
    asked_for = growth_asked_for()
    return asked_for if os.environ.get(ADDRESS_VARIABLE) else Growth()


def _end_at_once(why: str) -> NoReturn:
    """End this process as if it were killed, with a sentence."""
    with contextlib.suppress(OSError):  # its terminal may be gone
        sys.stderr.write(f"sweeper: {why}\n")
        sys.stderr.flush()
    os._exit(1)


def _is_alive_here() -> bool:
    """Whether the cluster takes the node of this process for alive."""
    mine = ray.get_runtime_context().get_node_id()
    return any(node["NodeID"] == mine and node["Alive"] for node in ray.nodes())


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """Ray's and Tune's settings, for as long as we use them; what the user has set stands."""
    added = [name for name in ENVIRONMENT if name not in os.environ]
    os.environ.update({name: ENVIRONMENT[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _hint() -> str:
    """What Ray leaves unsaid: `ray start --head` asks for a token as soon as this account has one,
    which any Ray of its own makes, and a driver sends its token only when RAY_AUTH_MODE says so."""
    if os.environ.get("RAY_AUTH_MODE"):
        return ""
    return (
        "; is it up? A cluster that asks for a token needs RAY_AUTH_MODE=token here, and its token "
        "in ~/.ray/auth_token or RAY_AUTH_TOKEN"
    )
