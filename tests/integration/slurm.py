"""A Slurm of the tests' own on this machine: munged, slurmctld, and two nodes of one core each.

    with slurm() as cluster:
        job = cluster.submit("--nodes=2", "sweep.sbatch", "mine.yaml")
        cluster.wait_for(job, "RUNNING")

The programs are Debian's `slurmctld`, `slurmd`, `slurm-client` and `munge`. Nobody is asked to
start or stop them; they run as root, in a folder that is gone at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.service.served import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
ON_THE_WAY = ("PENDING", "CONFIGURING", "RUNNING", "SIGNALING", "COMPLETING", "REQUEUED")
"""States of a job that has not ended."""

PATIENCE = 180.0
"""Seconds for a job to come into a state."""

SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge,cred_expire=30
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
KillWait=5
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=1000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here; empty where there can."""
    if os.geteuid() != 0:
        return "only root can start a Slurm of its own"
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"Slurm's programs are not installed: {', '.join(lacking)}" if lacking else ""


class Slurm:
    """A cluster that runs: its jobs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def submit(self, *arguments: str, environment: Mapping[str, str]) -> str:
        """The number of a new job, whose script has this environment."""
        return self._ask("sbatch", "--parsable", *arguments, more=environment)

    def told(self, job: str) -> dict[str, str]:
        """What Slurm says of a job."""
        said = self._ask("scontrol", "--oneliner", "show", "job", job)
        return dict(word.split("=", 1) for word in said.split() if "=" in word)

    def wait_for(self, job: str, state: str) -> None:
        """Until the job is in a state."""
        deadline = time.monotonic() + PATIENCE
        while (seen := self.told(job)["JobState"]) != state:
            assert seen in ON_THE_WAY, seen
            assert time.monotonic() < deadline, f"it stays {seen}"
            time.sleep(0.2)

    def shorten(self, job: str) -> None:
        """Have the job end in one to two minutes by its time limit."""
        hours, minutes, _ = map(int, self.told(job)["RunTime"].split(":"))
        self._ask("scontrol", "update", f"JobId={job}", f"TimeLimit={hours * 60 + minutes + 2}")

    def requeue(self, job: str) -> None:
        """End the job's allocation, as whoever needs its nodes would."""
        self._ask("scontrol", "requeue", job)

    def start_again(self, job: str) -> None:
        """Once the job is back in the queue, wait until it starts, and for half an hour: that is
        when its nodes have forgotten its last credential (`cred_expire`), and refuse none."""
        self.wait_for(job, "PENDING")
        self._ask("scontrol", "update", f"JobId={job}", "TimeLimit=30")
        self.wait_for(job, "RUNNING")

    def cancel_all(self) -> None:
        """End every job."""
        self._ask("scancel", "--user=root")
        deadline = time.monotonic() + 60
        while self._ask("squeue", "--noheader") and time.monotonic() < deadline:
            time.sleep(0.2)

    def up(self) -> bool:
        """Do both nodes wait for jobs?"""
        try:
            return self._ask("sinfo", "--noheader", "--format=%T %D") == "idle 2"
        except subprocess.CalledProcessError:
            return False

    def _ask(self, *command: str, more: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            command,
            env={**self._environment, **(more or {})},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.strip()


@contextlib.contextmanager
def slurm() -> Iterator[Slurm]:
    """A cluster for the length of the block."""
    # Not pytest's folder: munge wants one that everybody may enter.
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "state").mkdir()
    settings = folder / "slurm.conf"
    host, ports = socket.gethostname(), [free_port() for _ in range(3)]
    settings.write_text(SETTINGS.format(host=host, ports=ports, folder=folder))
    cluster = Slurm({**os.environ, "SLURM_CONF": str(settings)})
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in (_munged(folder), ("slurmctld", "-D"), _slurmd("one"), _slurmd("two")):
            with (folder / f"{len(daemons)}.log").open("wb") as log:
                environment = {**os.environ, "SLURM_CONF": str(settings)}
                started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            daemons.append(started)
        _wait_until_up(cluster, daemons, folder)
        try:
            yield cluster
        finally:
            cluster.cancel_all()  # else what they have started outlives the daemons
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _munged(folder: Path) -> tuple[str, ...]:
    key = folder / "key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    places = {"socket": "munge", "key-file": "key", "pid-file": "munged.pid", "seed-file": "seed"}
    return ("munged", "--foreground", *(f"--{name}={folder / at}" for name, at in places.items()))


def _slurmd(node: str) -> tuple[str, ...]:
    return ("slurmd", "-D", "-N", node)


def _wait_until_up(cluster: Slurm, daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not cluster.up():
        said = "\n".join(log.read_text() for log in sorted(folder.glob("*.log")))
        assert all(daemon.poll() is None for daemon in daemons), said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
