"""A Ray head on this machine that outlives whoever started it: for a service without a cluster.

    head = up(home)          # the one that runs, else a new one
    head.join()              # this process, and those that it starts, know it from now on
    down(home)               # ends it, and nothing else

It listens on the loopback interface alone and asks for a token. What there is to know of it stands
in the home, in `.ray/`: the token, and where it runs. All of its processes name one folder, made
for it, which is how they are told from anybody else's, also after a kill in the middle of a start.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
import ray

from sweeper.errors import SweeperError
from sweeper.home import writing
from sweeper.locks import taken
from sweeper.scheduling.cluster.connecting import ADDRESS_VARIABLE, ENVIRONMENT, OBJECT_STORE
from sweeper.scheduling.cluster.starting import AUTHENTICATION, OTHER_SYSTEMS, parent_for
from sweeper.secrets import for_children
from trials.files import atomic_write

JOBS_VARIABLE = "RAY_API_SERVER_ADDRESS"
TOKEN_VARIABLE = "RAY_AUTH_TOKEN_PATH"

START_PATIENCE = 120.0
"""Seconds that Ray may take to start."""

FOLDER = "sweeper-ray-"
"""How the name of Ray's folder begins, to which eight letters are added."""

END_PATIENCE = 5.0
"""Seconds for its processes to end by themselves."""


@dataclass(frozen=True)
class Head:
    """A Ray head: the `address` of the cluster, that of its `jobs`, the file of its `token`, and
    the `folder` that its processes name."""

    address: str
    jobs: str
    token: Path
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """By which Ray finds it, and is let in."""
        return {
            ADDRESS_VARIABLE: self.address,
            JOBS_VARIABLE: self.jobs,
            AUTHENTICATION: "token",
            TOKEN_VARIABLE: str(self.token),
            OTHER_SYSTEMS: "0",
        }

    def join(self) -> None:
        """Have this process, and those that it starts, find it."""
        os.environ.update(self.environment)
        ray._raylet.Config.initialize("")  # Ray has read its environment long ago
        ray._raylet.AuthenticationTokenLoader.instance().reset_cache()  # and the token of another

    @property
    def processes(self) -> list[psutil.Process]:
        """Its servers, and whatever they have started."""
        return _processes_of(self.folder)


def up(home: Path, *, cpus: int | None = None) -> Head:
    """The head of this home: the one that runs, else a new one, with so many CPUs to give, by
    default as many as the machine has.

    Raises:
        SweeperError: Ray does not start.
        UserError: the home, or the folder for Ray's, cannot be written.
    """
    with _alone(home) as place:
        head = _remembered(place)
        if head is not None and _lives(head):
            return head
        _end(place)
        return _start(place, cpus)


def find(home: Path) -> Head | None:
    """The head of this home, where one runs."""
    head = _remembered(home / ".ray")
    return head if head is not None and _lives(head) else None


def down(home: Path) -> None:
    """End the head of this home, with whatever runs on it."""
    with _alone(home) as place:
        _end(place)


def _start(place: Path, cpus: int | None) -> Head:
    token = place / "token"
    if not token.exists():
        atomic_write(token, secrets.token_hex(32))
        token.chmod(0o600)
    # Ray's files are not in the home, whose path may be long.
    parent = parent_for(f"{FOLDER}12345678")
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=FOLDER, dir=parent))
    head = Head("", f"http://127.0.0.1:{_free_port()}", token, folder)
    _remember(place, head)
    environment = {**for_children(os.environ), **ENVIRONMENT, **head.environment}
    del environment[ADDRESS_VARIABLE], environment[JOBS_VARIABLE]
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head"),
        *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--port=0"),
        *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
        f"--dashboard-port={head.jobs.rpartition(':')[2]}",
        # It has one port for all of a machine, and cannot be left out.
        f"--ray-client-server-port={_free_port()}",
        *("--include-dashboard=true", "--disable-usage-stats", f"--temp-dir={folder}"),
        f"--object-store-memory={OBJECT_STORE}",
        *(() if cpus is None else (f"--num-cpus={cpus}",)),
    ]
    said = folder / "start.log"
    with said.open("wb") as log:
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=START_PATIENCE,
                start_new_session=True,  # Ctrl-C in the terminal is for whoever started it
            ).returncode
        except subprocess.TimeoutExpired:
            done = 1
    if done != 0:
        told = said.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["?"]
        _end(place)
        raise SweeperError(f"cannot start Ray's head on this machine: {told[-1].strip()}")
    address = (folder / "ray_current_cluster").read_text(encoding="utf-8").strip()
    head = Head(address, head.jobs, token, folder)
    _remember(place, head)
    return head


def _end(place: Path) -> None:
    head = _remembered(place)
    if head is None:
        return
    processes = head.processes
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=END_PATIENCE)
    for process in {*alive, *head.processes}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=END_PATIENCE)
    shutil.rmtree(head.folder, ignore_errors=True)
    (place / "head.json").unlink(missing_ok=True)


def _remember(place: Path, head: Head) -> None:
    told = {**asdict(head), "token": str(head.token), "folder": str(head.folder)}
    home = place.stat()
    told |= {"device": home.st_dev, "inode": home.st_ino}
    atomic_write(place / "head.json", json.dumps(told) + "\n")


def _remembered(place: Path) -> Head | None:
    try:
        told = json.loads((place / "head.json").read_bytes())
        head = Head(told["address"], told["jobs"], Path(told["token"]), Path(told["folder"]))
        mine = _began_in(place, head, told["device"], told["inode"])
    except (OSError, ValueError, RecursionError, TypeError, LookupError):
        return None  # none was started, or nothing can be known of it
    return replace(head, token=place / "token") if mine else None


def _began_in(place: Path, head: Head, device: int, inode: int) -> bool:
    """Whether the head is this home's, and not that of one which this one is a copy of.

    A folder keeps its inode where it is renamed, a copy has another one. A snapshot of a file
    system has the same, but its own device; so has a file system that is mounted again, in whose
    place there is nothing else.

    Raises:
        OSError: it is not known.
    """
    here = place.stat()
    if here.st_ino != inode:
        return False
    return here.st_dev == device or head.token.parent.samefile(place)


def _lives(head: Head) -> bool:
    """Whether both of Ray's servers and the one for jobs are there."""
    names = {_name(process) for process in head.processes}
    if not head.address or not {"gcs_server", "raylet"} <= names:
        return False
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", int(head.jobs.rpartition(":")[2]))) == 0


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Ray's, which are told of the folder in an option, with all that they have started. Somebody
    who reads a log there has it as an argument."""
    found: dict[int, psutil.Process] = {}
    told = f"={folder}"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(word.startswith("--") and told in word for word in process.cmdline()):
                found[process.pid] = process
                found.update((child.pid, child) for child in process.children(recursive=True))
    found.pop(os.getpid(), None)
    return list(found.values())


def _name(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.name())
    except psutil.Error:
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[Path]:
    """The folder for it in the home, while nobody else starts or ends one there.

    Raises:
        SweeperError: somebody does so for longer than a start may take.
    """
    place = home / ".ray"
    with writing(home):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + 2 * START_PATIENCE
        while not taken(descriptor):
            if time.monotonic() > deadline:
                raise SweeperError(f"another process is starting or stopping Ray in {place}")
            time.sleep(0.1)
        yield place
    finally:
        os.close(descriptor)
