"""The Ray that drivers run on: the cluster that $RAY_ADDRESS names, else a head on this machine.

A head of our own outlives the service. It is looked for when Ray does not answer, and started
again where it has died; the dispatcher starts drivers again that have died with it, as any others.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sweeper.errors import UserError
from sweeper.home import HOME_VARIABLE
from sweeper.scheduling.cluster import head as heads
from sweeper.scheduling.cluster.connecting import ADDRESS_VARIABLE
from sweeper.scheduling.cluster.growing import VARIABLE as GROWTH_VARIABLE
from sweeper.scheduling.cluster.growing import Growth, growth_asked_for
from sweeper.scheduling.cluster.head import JOBS_VARIABLE
from sweeper.scheduling.cluster.inventory import ClusterMachines
from sweeper.scheduling.cluster.inventory import Machine as RayMachine
from sweeper.scheduling.cluster.jobs import Jobs, JobsUnreachable
from sweeper.secrets import secrets_in
from sweeper.service.queue.asking import Machine
from sweeper.service.settings import DATABASE_VARIABLE, ServiceSettings
from sweeper.sweepfile.resources import Given
from sweeper.tracking.address import URI_VARIABLE
from sweeper.tracking.notes import SERVICE_VARIABLE

USUAL_JOBS_PORT = 8265
"""Where Ray's head takes jobs, if nobody has said otherwise."""

HANDED_ON = (
    *("SWEEPER_STORAGE", "SWEEPER_BUCKET", "SWEEPER_EVICTION", GROWTH_VARIABLE),
    "OMP_NUM_THREADS",
)
"""What drivers are told as the service was. An address with a secret is not: whoever may use the
cluster can read a job's environment, so that the head's own must have it."""

DRIVER = "sweeper.service.driving"

LOOKS = 5
"""For so many looks in a row somebody must have had a resource until it counts as taken."""


class Cluster:
    """Runs drivers as jobs of Ray's, and tells what machines there are. From several threads."""

    def __init__(self, settings: ServiceSettings, mlflow: str) -> None:
        """Raises:
        UserError: RAY_ADDRESS is none that can be used, or SWEEPER_MACHINES is not understood.
        """
        self._home = settings.home
        self._owner = str(settings.home.path)
        self._others = Others()
        self._named = named_cluster(os.environ)
        asked_for = growth_asked_for()
        self._growth = asked_for if self._named else Growth()
        self._environment = driver_environment(settings, mlflow, os.environ)
        self._lock = threading.RLock()
        self._machines = ClusterMachines("", self._owner)
        self._jobs: Jobs | None = None

    def connect(self) -> Jobs:
        """Find Ray, or start it.

        Raises:
            JobsUnreachable: the cluster does not answer.
            SweeperError: none can be started.
        """
        with self._lock:
            if self._jobs is None:
                if self._named is None:
                    ours = heads.up(self._home.path)
                    ours.join()
                    address, self._jobs = ours.address, Jobs(ours.jobs, ours.token)
                else:
                    address, jobs = self._named
                    self._jobs = Jobs(jobs)
                self._machines = ClusterMachines(address, self._owner)
            return self._jobs

    def find(self) -> bool:
        """Whether there is a Ray; none is started.

        Raises:
            JobsUnreachable: it does not answer.
        """
        return (self._named or heads.find(self._home.path)) is not None and bool(self.connect())

    def down(self) -> None:
        """End the head that was started here, with whatever runs on it; no cluster that is named.

        Raises:
            SweeperError: another process is about to start or end it.
        """
        if self._named is None:
            heads.down(self._home.path)

    def look(self) -> list[RayMachine]:
        """All that is to be told of the machines, and of who works there.

        Raises:
            SweeperError: Ray does not answer, and cannot be started.
        """
        with self._looking_again():
            jobs = self.connect()
            return self._machines.look(jobs)

    def machines(self) -> Sequence[Machine]:
        """The machines for trials, and what other programs leave of them; those to come too.

        Raises:
            SweeperError: Ray does not answer, and cannot be started.
        """
        with self._looking_again():
            self.connect()
            found = [one for one in self._machines.look() if one.alive]
            if not found:
                raise JobsUnreachable("no machine of the Ray cluster is alive")
        return [*self._others.leave(found), *to_come(self._growth, found)]

    def start(self, job: str, arguments: Sequence[str]) -> None:
        """Have a driver run under this name, unless that was done before.

        Raises:
            SweeperError: it cannot be started.
        """
        with self._looking_again():
            command = [sys.executable, "-m", DRIVER, *arguments]
            self.connect().submit(command, job, self._environment, self._owner)

    def end(self, job: str) -> None:
        """End the driver of this name, if it runs.

        Raises:
            SweeperError: it cannot be ended.
        """
        with self._looking_again():
            self.connect().stop(job)

    @contextlib.contextmanager
    def _looking_again(self) -> Iterator[None]:
        """Where Ray does not answer in this block, it is looked for anew the next time."""
        try:
            yield
        except JobsUnreachable:
            with self._lock:
                self._jobs = None
            raise


class Others:
    """What other programs leave of the machines. What they have is the least of a few looks: the
    head hears of what has begun or ended on a machine a little later than of whom it was for, and
    trials of ours need not make room because of that."""

    def __init__(self) -> None:
        self._looks: deque[Mapping[str, Mapping[str, float]]] = deque(maxlen=LOOKS)

    def leave(self, found: Sequence[RayMachine]) -> list[Machine]:
        """The machines as the queue is to see them, after one more look."""
        self._looks.append({one.id: one.others for one in found})
        return [self._machine(one) for one in found]

    def _machine(self, one: RayMachine) -> Machine:
        looks = [look[one.id] for look in self._looks if one.id in look]
        free = {
            name: amount - min(others.get(name, 0.0) for others in looks)
            for name, amount in one.total.items()
        }
        of_all, of_free = ((has.get("CPU", 0.0), has.get("GPU", 0.0)) for has in (one.total, free))
        return Machine(one.id, *of_all, *of_free)


def to_come(growth: Growth, found: Iterable[RayMachine]) -> list[Machine]:
    """The machines that may still join where these are there, as the queue is to see them."""
    there = (Given(one.total.get("CPU", 0.0), one.total.get("GPU", 0.0)) for one in found)
    return [
        Machine.all_ours(f"to come {number}", shape.cpu, shape.gpu, to_come=True)
        for number, shape in enumerate(growth.to_come(there))
    ]


def named_cluster(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The cluster that $RAY_ADDRESS names, and where it takes jobs; None where it names none.

    Raises:
        UserError: it is not an address of a head.
    """
    address = environment.get(ADDRESS_VARIABLE, "")
    if not address:
        return None
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise UserError(
            f"{ADDRESS_VARIABLE} is {address!r}; the service needs its head's address, HOST:6379, "
            "or none to have a Ray started on this machine"
        )
    jobs = environment.get(JOBS_VARIABLE) or f"http://{host}:{USUAL_JOBS_PORT}"
    return address, jobs


def driver_environment(
    settings: ServiceSettings, mlflow: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """What drivers are told by the service, beside what their machine's environment has."""
    told = {
        **{name: environment[name] for name in HANDED_ON if environment.get(name)},
        HOME_VARIABLE: str(settings.home.path),
        DATABASE_VARIABLE: settings.database,
        URI_VARIABLE: mlflow,
        SERVICE_VARIABLE: settings.address,
    }
    if not environment.get(ADDRESS_VARIABLE) and GROWTH_VARIABLE in told:
        told[GROWTH_VARIABLE] = ""  # drivers know no Ray of our own from a cluster that grows
    return {name: value for name, value in told.items() if not secrets_in(value)}
