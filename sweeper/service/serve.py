"""The process behind `sweeper serve`: what it starts, in which order, and how all of it ends.

    the home's lock, the database       at once, or there is no service
    the socket                          bound: a second one at this address is refused here
    MLflow                              a child on loopback, unless a server is named; restarted
                                        where it dies
    Ray                                 the cluster that is named, else a head of our own
    the first admin's token             shown once, on a terminal
    dispatcher, notices                 threads
    HTTP                                last: whoever is answered finds all of it

It ends in the opposite order. Ray and the drivers are no children of it: they go on without, and
the next start finds them; `down` ends them.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from sweeper.errors import SweeperError, UserError
from sweeper.home import Home, writing
from sweeper.locks import taken
from sweeper.permissions import private
from sweeper.scheduling.cluster.jobs import JobsUnreachable
from sweeper.service.actions.adopting import adopt_home
from sweeper.service.actions.deleting import erase
from sweeper.service.app import Service, application
from sweeper.service.child import Child
from sweeper.service.cluster import Cluster
from sweeper.service.dispatching.dispatcher import Dispatcher
from sweeper.service.doors import OPENINGS, Doors
from sweeper.service.listening import Signals, bound, give_way, listener, log_to_terminal
from sweeper.service.notices.worker import Notices
from sweeper.service.settings import LOOPBACK, ServiceSettings
from sweeper.service.sole import Sole
from sweeper.service.state import accounts
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from sweeper.tracking.address import is_server, tracking_uri
from sweeper.tracking.moved import follow_home
from sweeper.tracking.server import server_command, server_environment
from sweeper.tracking.ui import free_port

Say = Callable[[str], None]

PORT_PATIENCE = 15.0
"""Seconds to wait for MLflow's port."""


def serve(settings: ServiceSettings, mlflow_port: int, say: Say = print) -> int:
    """Serve until asked to end. Returns the exit status. Call it in the main thread.

    Raises:
        UserError: the address is taken, or something of the environment is wrong.
        SweeperError: another one serves this home or database, or a part of it does not start.
    """
    signals = Signals()
    log_to_terminal()
    home = settings.home
    with writing(home.path), private(home.path):
        home.path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as parts:
            parts.enter_context(only_one(home))
            database = Database(settings.database)
            parts.callback(database.close)
            database.upgrade()
            sole = parts.enter_context(contextlib.closing(Sole(database)))
            watch = partial(sole.watch, signals.ending.set)
            parts.enter_context(_running("lock", watch, sole.stop))
            socket = parts.enter_context(contextlib.closing(bound(settings)))
            mlflow = parts.enter_context(_mlflow(home, mlflow_port, signals, say))
            cluster = _cluster(settings, mlflow, say)
            if signals.ending.is_set():
                return 0
            give_way()  # not before Ray is there: its workers would stand where this does
            service = Service(settings, database, signals.ending, machines=cluster.look)
            notices = Notices(service)
            dispatcher = Dispatcher(database, cluster, partial(erase, service))
            _welcome(database, say)
            if taken := adopt_home(service):
                say(f"Taken in from {home.path}: {', '.join(taken)}")
            parts.enter_context(_running("dispatcher", dispatcher.run, dispatcher.stop))
            notices.start()
            parts.callback(notices.stop)
            told = f"The service is at {settings.address}  (Ctrl-C ends it; sweeps that run go on)"
            app = application(service, (Doors(mlflow).install,), OPENINGS)
            listener(app, settings, signals.ending, partial(say, told)).run(sockets=[socket])
            say("The service has ended. Sweeps that ran go on; the next start finds them.")
    return 0


@contextlib.contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Be the only one that serves this home. The kernel frees the lock when its holder dies.

    Raises:
        SweeperError: another one does.
    """
    descriptor = os.open(home.path / "service.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not taken(descriptor):
            raise SweeperError(
                f"another `sweeper serve` is at work on {home.path}: one serves everybody"
            )
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _mlflow(home: Home, port: int, signals: Signals, say: Say) -> Iterator[str]:
    """Address of the MLflow that runs are recorded to: the server that is named, else one of our
    own, for the length of the block. Drivers are told it as well.

    Raises:
        TrackingError: MLflow's address cannot be used.
        SweeperError: its server does not come up.
    """
    uri = tracking_uri(home.path)
    if is_server(uri):
        yield uri
        return
    if moved := follow_home(uri, home.mlartifacts):
        say(moved)
    _wait_for_port(port)
    address = f"http://{LOOPBACK}:{port}"
    child = Child(
        "MLflow's server",
        server_command(home.path, port),
        server_environment(),
        f"{address}/health",
        home.path / "service.mlflow.log",
    )
    child.start()
    try:
        child.wait(signals.ending)
        os.environ["MLFLOW_TRACKING_URI"] = address
        yield address
    finally:
        child.stop()


def _wait_for_port(port: int) -> None:
    """The MLflow of a service that was killed takes a moment to end.

    Raises:
        UserError: somebody else has the port.
    """
    deadline = time.monotonic() + PORT_PATIENCE
    while free_port(port) != port:
        if time.monotonic() > deadline:
            raise UserError(f"port {port} of {LOOPBACK} is taken: --mlflow-port names another")
        time.sleep(0.2)


def _cluster(settings: ServiceSettings, mlflow: str, say: Say) -> Cluster:
    """The Ray that drivers run on. One that is named may be away for now: its sweeps wait.

    Raises:
        UserError: $RAY_ADDRESS is none that can be used.
        SweeperError: no Ray can be started here.
    """
    cluster = Cluster(settings, mlflow)
    try:
        cluster.connect()
    except JobsUnreachable as error:
        say(f"{error}\nSweeps wait until it does.")
    return cluster


@contextlib.contextmanager
def _running(name: str, run: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """A thread for the length of the block."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


def _welcome(database: Database, say: Say) -> None:
    """At the first start make the first admin, whose token is shown this once.

    It is said before it is kept: where this is killed in between, the next start makes another.
    """
    with database.writing() as session:
        if accounts.people(session):
            return
        if not sys.stdout.isatty():
            say(
                "Nobody can sign in yet: on a terminal of this machine, "
                "`sweeper token new NAME --scope admin` makes the first token and shows it"
            )
            return
        name = _user()
        person = accounts.add_person(session, name)
        token = accounts.add_token(session, person, "first", Scope.ADMIN)[1]
        say(f"The first token, of {name}, admin. It is not shown again:\n\n    {token}\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "admin"
