"""A sweep and its surroundings: its driver, and MLflow's server behind a proxy where it has one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.chaos.proxy import Proxy
from tests.faults.chaos.sweeps import KINDS
from tests.faults.killing import Driver
from tests.mlflow_server import Server
from tests.postgres import empty_place


@dataclass(frozen=True)
class Setting:
    """One kind of sweep: what it does, where it is recorded, how many trials run at once."""

    kind: str
    place: str
    parallel: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.place}-{self.parallel}"


SETTINGS = tuple(itertools.starmap(Setting, itertools.product(KINDS, ("sqlite", "server"), (1, 2))))


@dataclass
class Stage:
    """What a sweep of so many `trials` is run with. `storage` is the address of its study, none for
    a journal."""

    setting: Setting
    trials: int
    home: Path
    storage: str = ""
    server: Server | None = None
    proxy: Proxy | None = None
    timers: list[threading.Timer] = field(default_factory=list)

    def later(self, seconds: float, action: Callable[..., Any], *arguments: Any) -> None:
        """Do something while the sweep goes on; nothing once it is over."""
        self.timers.append(threading.Timer(seconds, action, arguments))
        self.timers[-1].start()

    def settle(self) -> None:
        """Whatever was to be done later has been done, or will not be."""
        for timer in self.timers:
            timer.cancel()
            timer.join()

    def start(self) -> Driver:
        """Run the sweep, or go on with it."""
        command = ["tests.faults.chaos.sweeps", self.setting.kind, str(self.setting.parallel)]
        command += [str(self.trials), str(self.home)]
        if self.proxy is not None:
            command.append(f"http://127.0.0.1:{self.proxy.port}")
        environment = {"SWEEPER_STORAGE": self.storage} if self.storage else {}
        return Driver(self.home, *command, environment=environment)

    @property
    def folders(self) -> Path:
        """Where the folders of its trials are."""
        return self.home / self.setting.kind / "trials"


@contextmanager
def stage(setting: Setting, trials: int, home: Path, postgres: str, seed: int) -> Iterator[Stage]:
    """Set one up in `home`, which is empty, with all that belongs to it."""
    with ExitStack() as until_the_end:
        if setting.place == "sqlite":
            bare = Stage(setting, trials, home)
            until_the_end.callback(bare.settle)
            yield bare
            return
        server = Server(home)
        until_the_end.callback(server.kill)
        server.start()
        proxy = Proxy(server.port, seed)
        until_the_end.callback(proxy.close)
        server.wait()
        whole = Stage(setting, trials, home, empty_place(postgres), server, proxy)
        until_the_end.callback(whole.settle)  # before the server ends, which one may yet start
        yield whole
