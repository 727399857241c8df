"""A PostgreSQL of the tests' own: installed where it is missing, on loopback, gone at the end.

    with server(lock) as postgres:
        postgres.address                # as SWEEPER_STORAGE takes it; its database is empty

The server comes from Debian's packages. Where there is none and it can be installed (by root, with
apt-get), it is; where it cannot, `Unavailable` says why.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

LOOPBACK = "127.0.0.1"

PACKAGES = Path("/usr/lib/postgresql")
"""Debian keeps the programs of each version in VERSION/bin here, away from the search path."""


class Unavailable(Exception):  # noqa: N818 - what it is, not that it is an error
    """There is no PostgreSQL on this machine, and none can be installed."""


class Server:
    """A server in `folder`, on a port of `host` that it keeps when it is killed.

    Raises Unavailable where there can be none.
    """

    def __init__(self, lock: Path, folder: Path, host: str = LOOPBACK) -> None:
        self._programs = _programs(lock)
        self._user = _unprivileged()
        self._folder = folder
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._host = host
        self._port = _free_port()
        self._run("initdb", "--username=sweeper", "--auth=trust", "--encoding=UTF8", "--no-locale")
        if host != LOOPBACK:
            with (folder / "data" / "pg_hba.conf").open("a") as trusted:
                trusted.write("host all all samenet trust\n")

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://sweeper@{self._host}:{self._port}/postgres"

    def start(self) -> None:
        # Whether it survives a power cut is not what is tested here.
        settings = (
            f"-p {self._port} -c listen_addresses={self._host} -k {self._folder} -c fsync=off"
        )
        log = f"--log={self._folder / 'log'}"
        self._run("pg_ctl", "start", "--wait", log, "--options", settings)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def kill(self) -> None:
        """By SIGKILL, and wait for those that it has started: they end when they notice."""
        pid = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        family[0].kill()
        _, left = psutil.wait_procs(family, timeout=30)
        for one in left:
            one.kill()

    def _run(self, program: str, *arguments: str) -> None:
        user, said = self._user, self._folder / "said"
        # To a file: a server that inherited a pipe would keep whoever reads it waiting.
        with said.open("wb") as output:
            done = subprocess.run(
                [self._programs / program, "--pgdata", self._folder / "data", *arguments],
                cwd=self._folder,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode != 0:
            logs = (said, self._folder / "log")
            told = [path.read_text() for path in logs if path.exists()]
            raise RuntimeError(f"{program} failed: {' '.join(told)}")


@contextmanager
def server(lock: Path, host: str = LOOPBACK) -> Iterator[Server]:
    """Run a server on a free port of `host`; its database is `postgres`.

    `lock` is a file that all who might install the packages at the same time have in common.
    Raises Unavailable where there can be no server.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        made = Server(lock, Path(name), host)
        made.start()
        try:
            yield made
        finally:
            made.stop()


def empty_place(address: str) -> str:
    """Address of an empty place on a server: a schema, which is made a hundred times faster than a
    database."""
    name = f"empty_{uuid.uuid4().hex}"
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    return f"{address}?options=-csearch_path%3D{name}"


def _programs(lock: Path) -> Path:
    """The folder of initdb and pg_ctl, installed first where need be. Raises Unavailable."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if (found := _installed()) is not None:
            return found
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable("PostgreSQL is not installed, and only root with apt-get could")
        _install()
        if (found := _installed()) is not None:
            return found
    raise Unavailable("Debian's package brought no initdb")


def _installed() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    versions = [path for path in PACKAGES.glob("*/bin") if (path / "initdb").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


def _install() -> None:
    """Raises Unavailable with apt's last words where that fails."""
    # At this runlevel Debian's package does not start the server that it makes for the machine.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command], env=quiet, capture_output=True, text=True
        )
        if done.returncode != 0:
            said = (done.stderr.strip() or "nothing said").splitlines()[-1]
            raise Unavailable(f"apt-get {command[0]} failed: {said}")


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable("PostgreSQL refuses to be run by root, and there is no other user")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
