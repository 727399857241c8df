"""A Ray to run on: the one that $RAY_ADDRESS names, else one of our own on this machine.

Only what was started here is shut down here. A cluster of our own is quiet, has no dashboard, and
dies with its driver; its two servers are watched, since a driver without them would wait for ever.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import psutil
import ray

from sweeper.errors import SweeperError, UserError
from sweeper.sweepfile.sections import Resources

ADDRESS_VARIABLE = "RAY_ADDRESS"

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a sweep file mean the driver's folder
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

LOOK_EVERY = 5.0
"""Seconds between two questions to the cluster whether our node is alive."""


GRACE = 10.0
"""Seconds in which a driver may notice by itself that a server of its own has died."""


class ClusterLost(SweeperError):  # noqa: N818 - what happened
    """Ray has died under the driver."""


class Cluster:
    """A connection to Ray for the length of a `with` block."""

    def __init__(self, resources: Resources, parallel: int) -> None:
        self._resources = resources
        self._parallel = parallel
        self.own = False
        self._servers: list[psutil.Process] = []
        self._next_look = 0.0
        self._left = threading.Event()

    def __enter__(self) -> Self:
        if not ray.is_initialized():
            self.own = True
            with _quiet():
                self._start()
        self._check_room()
        if self._servers:
            threading.Thread(target=self._watch, name="ray-watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        if self.own:
            ray.shutdown()

    def check(self) -> None:
        """Raise ClusterLost when Ray's servers have died. Cheap; call it often."""
        if died := self._died():
            raise ClusterLost(died)
        if self._servers or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY
        mine = ray.get_runtime_context().get_node_id()
        if not any(node["NodeID"] == mine and node["Alive"] for node in ray.nodes()):
            raise ClusterLost(
                "this machine's part of the Ray cluster has died; run the sweep again"
            )

    def _died(self) -> str:
        """Which server of our own has died, and what to do; empty while they live."""
        for server in self._servers:
            if _is_dead(server):
                return (
                    f"Ray's {server_name(server)} (process {server.pid}) has died; nothing is "
                    "lost: run the sweep again, and it goes on where it stands"
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
                sys.stderr.write(f"sweeper: {died}\n")
                sys.stderr.flush()
                os._exit(1)

    def _start(self) -> None:
        address = os.environ.get(ADDRESS_VARIABLE)
        common = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        try:
            if address:
                ray.init(address=address, runtime_env={"env_vars": ENVIRONMENT}, **common)
                return
            cpus = max(os.cpu_count() or 1, math.ceil(self._resources.cpu * self._parallel))
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                **common,
            )
        except Exception as error:  # Ray raises bare exceptions where a server does not come up
            if not address:
                raise SweeperError(f"cannot start Ray on this machine: {error}") from error
            raise SweeperError(
                f"cannot join the Ray cluster at {address}: {error}{_hint()}"
            ) from error
        self._servers = _servers()

    def _check_room(self) -> None:
        """Refuse what this cluster can never give; it would be waited for in silence."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        for name, wanted in (("CPU", self._resources.cpu), ("GPU", self._resources.gpu)):
            most = max((node.get(name, 0.0) for node in nodes), default=0.0)
            if wanted > most:
                raise UserError(
                    f"resources.{name.lower()} is {wanted:g}, but no machine of this Ray cluster "
                    f"has more than {most:g}"
                )


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
    which any Ray of its own makes for it, and nobody shows his unless he is told to."""
    if os.environ.get("RAY_AUTH_MODE"):
        return ""
    return (
        "; is it up? A cluster that asks for a token needs RAY_AUTH_MODE=token here, and its token "
        "in ~/.ray/auth_token or RAY_AUTH_TOKEN"
    )


def _is_dead(server: psutil.Process) -> bool:
    try:
        return not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it died between the two questions
        return True


def server_name(server: psutil.Process) -> str:
    try:
        return str(server.name())
    except psutil.Error:
        return "server"


def _servers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if server_name(child) in ("raylet", "gcs_server")]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # ray.init warns of an environment variable that a later version will read otherwise.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
