"""Sweeps on a server, through the client. What is printed of them is worked out here, of the same
records and by the same code as of a home."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sweeper.bucket.usage import Published
from sweeper.cli.source import Listing, Sight, Source, flag_of
from sweeper.client import Client
from sweeper.client.trials import Records
from sweeper.disk import Disk
from sweeper.home import Request
from sweeper.service.api.shapes_sweeps import SweepShape
from sweeper.service.pages import addresses
from sweeper.service.states import ENDS
from sweeper.standings import Standings, standings_of
from sweeper.standings.progress import progress_of
from sweeper.sweepfile.load import sweep_from_dict

if TYPE_CHECKING:
    import pyarrow as pa

    from sweeper.sweepfile.model import Sweep


PATIENCE = 10.0
"""Seconds that a verb waits for a server that is away."""


class ServerSource(Source):
    """The sweeps of one server, as one person sees them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.flag = flag_of(client.address)

    @classmethod
    def at(cls, address: str, patience: float = PATIENCE) -> Self:
        """The server at an address, which is waited for so many seconds where it is away.

        Raises:
            UserError: there is no token for it.
        """
        return cls(Client(address, patience=patience))

    def close(self) -> None:
        self.client.close()

    def listing(self) -> Listing:
        found = [_listed(sweep) for sweep in self.client.sweeps.list(sort="name", descending=False)]
        empty = f"no sweeps at {self.client.address} yet; `sweeper run FILE{self.flag}` submits one"
        return Listing(found, (), empty)

    def sight(self, name: str, trial: int | None = None, *, whole: bool = False) -> Sight:
        sweep = self.client.sweeps.get(name)
        records = self.client.trials.records(name, whole=whole)
        if trial is not None:
            found = self.client.trials.records(name, number=[trial]).trials
            others = (one for one in records.trials if one.number != trial)
            records = replace(records, trials=(*others, *found))
        standings = standings_from(records)
        progress = progress_of(standings)
        return Sight(
            sweep.name,
            standings,
            sweep.state,
            progress.over,
            progress.budget,
            Path(records.head.folder),
            records.head.foreign,
            by=driver_in_words(sweep),
            waits=waits_in_words(sweep),
        )

    def taken(self, name: str) -> tuple[Disk, Published | None]:
        told = self.client.results.disk(name)
        published = None if told.bucket is None else Published(**told.bucket.model_dump())
        return Disk(**told.model_dump(exclude={"bucket"})), published

    def dataset(self, name: str) -> tuple[Sweep, pa.Table]:
        from sweeper.results import table_of

        standings = standings_from(self.client.trials.records(name))
        return standings.sweep, table_of(standings)

    def report(self, name: str) -> str:
        return self.client.address + addresses.sweep(self.client.sweeps.get(name).name)

    def log(self, name: str, trial: int, *, tail: int | None, follow: bool) -> Iterator[str]:
        return self.client.trials.log(name, trial, tail=tail, follow=follow)

    def ask(self, name: str, request: Request) -> None:
        steer = {
            Request.PAUSE: self.client.sweeps.pause,
            Request.STOP: self.client.sweeps.stop,
            Request.CANCEL: self.client.sweeps.cancel,
        }
        steer[request](name)

    def resume(self, name: str) -> None:
        self.client.sweeps.resume(name)

    def continues(self, name: str) -> str:
        return f"`sweeper resume {name}{self.flag}`"


def standings_from(records: Records) -> Standings:
    """Who leads, by the records of a server."""
    sweep = sweep_from_dict(records.head.spec)
    return standings_of(sweep, records.trials, records.head.planned, records.head.protocol)


def driver_in_words(sweep: SweepShape) -> str:
    """Who drives it; empty where nobody does."""
    driver = sweep.driver
    if driver is None or driver.outcome is not None or sweep.state in ENDS:
        return ""
    return f"a driver on {driver.host}" if driver.host else "a driver"


def waits_in_words(sweep: SweepShape) -> str:
    """Why it does not run more than it does; empty where nothing holds it up."""
    said = []
    if sweep.place:
        said.append(f"{sweep.place} before it in the queue")
    elif sweep.place is not None and not sweep.reason:
        said.append("next in the queue")
    if sweep.expected:
        said.append(f"about {time.strftime('%a %H:%M', time.localtime(sweep.expected))}")
    said += [sweep.reason] if sweep.reason else []
    return "; ".join(said)


def _listed(sweep: SweepShape) -> dict[str, Any]:
    driver = sweep.driver
    over, budget = (driver.over, driver.budget) if driver else (0, None)
    best = driver.best if driver else {}
    return {
        "name": sweep.name,
        "owner": sweep.owner,
        "state": sweep.state,
        "budget": budget or sweep.limits.get("trials"),
        # The driver counts confirmations, which are beyond the budget.
        "over": over if budget is None else min(over, budget),
        "metric": sweep.metrics[0],
        "best": best.get("value"),
        "best_trial": best.get("trial"),
        "waits": waits_in_words(sweep),
        "id": sweep.id,
    }
