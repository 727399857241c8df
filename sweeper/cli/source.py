"""Where a verb finds sweeps: in a home of this machine, or on a server. Both answer the same.

--server URL, else $SWEEPER_SERVER     that server
--home DIR, else $SWEEPER_HOME         that folder
nothing of these                       the server of `sweeper login`, and a line on the error stream
                                       that says so; without a login ./sweeps

An option counts more than a variable. A server is asked through `sweeper.client`, which is imported
only then.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sweeper.cli.printing import say
from sweeper.client.login import SERVER_VARIABLE, read_login
from sweeper.errors import UserError
from sweeper.home import HOME_VARIABLE, Home, Request

if TYPE_CHECKING:
    import pyarrow as pa

    from sweeper.bucket.usage import Published
    from sweeper.disk import Disk
    from sweeper.standings import Standings
    from sweeper.sweepfile.model import Sweep
    from sweeper.trial import Trial


@dataclass(frozen=True)
class Listing:
    """The sweeps that there are, a mapping each, and why some cannot be read. `empty` is what to
    say where there are none."""

    sweeps: Sequence[dict[str, Any]]
    failed: Sequence[str]
    empty: str


@dataclass(frozen=True)
class Sight:
    """One sweep as it is now: `over` of `budget` trials before any confirmation have ended.

    `foreign` are number, state and words of entries of the study that are not its own. `driver` is
    the process that drives it, where that is one of this machine, and `by` says who does, in words;
    empty where nobody does. `waits` says why it does not run more, of a server. `unscored` are the
    numbers of winners whose final score is still to be measured, where nothing else is to be done.
    """

    name: str
    standings: Standings
    state: str
    over: int
    budget: int | None
    folder: Path
    foreign: Sequence[Mapping[str, Any]] = ()
    driver: int | None = None
    by: str = ""
    waits: str = ""
    unscored: Sequence[int] = ()

    def record(self, number: int) -> Trial:
        """One of its trials.

        Raises:
            UserError: there is none of that number.
        """
        trials = self.standings.trials
        found = next((trial for trial in trials if trial.number == number), None)
        if found is None:
            there = f"; the last one is {trials[-1].number}" if trials else ": it has none yet"
            raise UserError(f"{self.name} has no trial {number}{there}")
        return found


class Source(ABC):
    """One place with sweeps. Each method raises `UnknownSweep` where there is none of a name."""

    flag: str
    """What a command must be given to come here again, with a blank before it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - a folder needs no closing
        """Nothing more is asked."""

    @abstractmethod
    def listing(self) -> Listing:
        """All sweeps."""

    @abstractmethod
    def sight(self, name: str, trial: int | None = None, *, whole: bool = False) -> Sight:
        """One sweep, `whole` with every evaluation; else perhaps only with the last of each trial,
        and all of one `trial`."""

    @abstractmethod
    def taken(self, name: str) -> tuple[Disk, Published | None]:
        """What a sweep takes on disk, and in the bucket where its trials publish in one."""

    @abstractmethod
    def dataset(self, name: str) -> tuple[Sweep, pa.Table]:
        """A sweep with all its trials, a row each."""

    @abstractmethod
    def report(self, name: str) -> str:
        """Where its report is, up to date."""

    @abstractmethod
    def log(self, name: str, trial: int, *, tail: int | None, follow: bool) -> Iterator[str]:
        """Pieces of a trial's log: its last `tail` lines, or all of it; with `follow`, what is
        written from then on, until the trial is over."""

    @abstractmethod
    def ask(self, name: str, request: Request) -> None:
        """Ask something of a sweep that runs.

        Raises:
            UserError: it does not, or is being ended.
        """

    @abstractmethod
    def resume(self, name: str) -> None:
        """Go on with a sweep.

        Raises:
            UserError: it cannot go on by that.
        """

    @abstractmethod
    def continues(self, name: str) -> str:
        """The command that goes on with a sweep that has ended."""


def source_of(home: Path | None, server: str | None) -> Source:
    """The place that is meant.

    Raises:
        UserError: both are given, or there is no token for the server.
    """
    address = server_meant(home, server)
    if address is None:
        from sweeper.cli.local import HomeSource

        return HomeSource(Home.at(home))
    from sweeper.cli.remote import ServerSource

    return ServerSource.at(address)


def server_meant(home: Path | None, server: str | None) -> str | None:
    """The address of the server that is meant; None where a home of this machine is.

    Raises:
        UserError: both are given.
    """
    if server and home is not None:
        raise UserError("--server and --home exclude each other: give one of them")
    if server or home is not None:
        return server or None
    if named := os.environ.get(SERVER_VARIABLE):
        return named
    if os.environ.get(HOME_VARIABLE) or (login := read_login()) is None:
        return None
    say(f"at {login.address} (`--home sweeps` uses the local folder instead)", err=True)
    return login.address


def flag_of(address: str) -> str:
    """What a command must be given to come to this server again."""
    if os.environ.get(SERVER_VARIABLE):
        return "" if os.environ[SERVER_VARIABLE].rstrip("/") == address else f" --server {address}"
    login = None if os.environ.get(HOME_VARIABLE) else read_login()
    return "" if login and login.address == address else f" --server {address}"
