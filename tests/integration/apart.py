"""Machines that share nothing but a network: each a network namespace of this one, with a disk of
its own at the same place as the others'. This machine, at `HERE`, is the world outside them.

    with apart() as world:
        head, one = world.machine(), world.machine()
        head.start("ray", "start", …)   # world.own is that machine's own disk, in all of them
        one.die()                       # everything that runs on it, by SIGKILL
        with one.cut_off(): …           # nobody hears it, and it hears nobody
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

HERE = "10.77.0.254"
_BRIDGE = "apart"


def missing() -> str:
    """Why there can be no such machines here; empty where there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "takes root and iproute2"
    tried = subprocess.run(["ip", "netns", "add", _BRIDGE], check=False, capture_output=True)
    if tried.returncode != 0:
        return f"no network namespaces here: {tried.stderr.decode().strip()}"
    _ip("netns", "del", _BRIDGE)
    return ""


class Apart:
    """One machine: a namespace, an address and a disk."""

    def __init__(self, number: int, own: Path, disk: Path) -> None:
        self.name = f"{_BRIDGE}{number}"
        self.address = f"10.77.0.{number}"
        self.disk = disk
        self._own = own
        self._started: list[subprocess.Popen[bytes]] = []
        disk.mkdir()
        _ip("netns", "add", self.name)
        _ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self.name, "master", _BRIDGE, "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", self.name, "link", "set", device, "up")

    def start(
        self, *command: str, environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program on it; what it says is added to `log`."""
        mounted = f'mount --bind {self.disk} {self._own} && exec "$@"'  # seen by itself alone
        with log.open("ab") as output:
            one = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "sh", "-c", mounted, "sh", *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(one)
        return one

    def die(self) -> None:
        """As by a power cut, but for its disk."""
        while pids := _ip("netns", "pids", self.name).split():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for one in self._started:
            one.wait(20)

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Pull its plug out of the network, and put it back."""
        _ip("link", "set", self.name, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.name, "up")

    def remove(self) -> None:
        self.die()
        _ip("netns", "del", self.name)


class World:
    """All of them. Each has its own disk at `own`, which is empty here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = folder / "own"
        self.own.mkdir()
        self.machines: list[Apart] = []

    def machine(self) -> Apart:
        """Add one."""
        number = len(self.machines) + 1
        added = Apart(number, self.own, self.folder / str(number))
        self.machines.append(added)
        return added


@contextlib.contextmanager
def apart() -> Iterator[World]:
    """A world without machines; they go with it."""
    # Not pytest's folder: Ray makes sockets below it, whose paths may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="apart", dir="/tmp"))
    world = World(folder)
    _ip("link", "add", _BRIDGE, "type", "bridge")
    try:
        _ip("addr", "add", f"{HERE}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        yield world
    finally:
        for machine in world.machines:
            machine.remove()
        _ip("link", "del", _BRIDGE)
        shutil.rmtree(folder, ignore_errors=True)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
