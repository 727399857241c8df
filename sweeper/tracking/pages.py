"""Where MLflow's pages show a sweep, its trials and its tables: addresses from the outbox.

The outbox knows the id of every run that MLflow has, so nothing has to be asked of MLflow.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from sweeper.tracking.database import Database
from sweeper.tracking.experiment import first_view_in, view_address
from sweeper.tracking.limits import safe_key
from sweeper.tracking.names import ADDRESS, EXPERIMENT_ID, SENT_EXPERIMENT_TAGS, SWEEP

KEPT = 64
"""Sweeps whose addresses are kept in memory; the one that nobody asked for longest goes first."""

_Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TrackingPages:
    """Addresses of one sweep's pages; each is None where MLflow does not have it (yet).

    `root` is where MLflow's pages are found, `runs` has the number of a trial, or `SWEEP` → the id
    of its run.
    """

    experiment: str = ""
    view: str = ""
    """Of the saved views of the experiment, the one to begin with."""
    runs: Mapping[int, str] = field(default_factory=dict)
    root: str = ""
    address: str = ""
    """Of the MLflow that has all this, as the driver that recorded it had it."""

    @property
    def sweep(self) -> str | None:
        """All of its runs, the best first."""
        if not self.experiment:
            return self.trial(SWEEP)
        if self.view:
            return self.root + view_address(self.experiment, self.view)
        return f"{self.root}#/experiments/{self.experiment}/runs"

    def trial(self, number: int) -> str | None:
        """One trial's run, or the sweep's own."""
        run = self.runs.get(number)
        if run is None or not self.experiment:
            return run and f"{self.root}#/runs/{run}"  # MLflow finds the experiment itself
        return f"{self.root}#/experiments/{self.experiment}/runs/{run}"

    def table(self, name: str) -> str | None:
        """A table of the sweep's conclusion, by its name there."""
        run = self.trial(SWEEP) if self.experiment else None
        return run and f"{run}/artifactPath/tables/{safe_key(name)}.json"

    def comparison(self, numbers: Iterable[int]) -> str | None:
        """Trials side by side."""
        runs = [self.runs[number] for number in numbers if number in self.runs]
        if len(runs) < 2 or not self.experiment:
            return None
        chosen, place = (quote(json.dumps(one)) for one in (runs, [self.experiment]))
        return f"{self.root}#/compare-runs?runs={chosen}&experiments={place}"


_kept: OrderedDict[Path, tuple[_Stamp, TrackingPages]] = OrderedDict()
_lock = threading.Lock()


def tracking_pages(outbox: Path, root: str = "") -> TrackingPages:
    """The pages of the sweep with this outbox, below `root`; read again only where it was written
    since.

    Raises:
        TrackingError: the outbox cannot be read.
    """
    stamp = _stamp(outbox)
    if not stamp:
        return TrackingPages(root=root)
    with _lock:
        kept = _kept.get(outbox)
        if kept is None or kept[0] != stamp:
            kept = _kept[outbox] = (stamp, _read(outbox))
        _kept.move_to_end(outbox)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
        return replace(kept[1], root=root)


def _read(outbox: Path) -> TrackingPages:
    with closing(Database(outbox)) as database:
        with database.reading() as connection:
            rows = connection.execute("SELECT number, run_id FROM runs WHERE run_id IS NOT NULL")
            runs = {int(number): str(run) for number, run in rows}
        view = first_view_in(database.meta(SENT_EXPERIMENT_TAGS))
        return TrackingPages(
            database.meta(EXPERIMENT_ID), view, runs, address=database.meta(ADDRESS)
        )


def _stamp(outbox: Path) -> _Stamp:
    """Something that differs whenever the outbox does; empty where there is none."""
    found = []
    for file in (outbox, outbox.with_name(f"{outbox.name}-wal")):
        try:
            state = file.stat()
        except FileNotFoundError:
            continue
        found.append((state.st_size, state.st_mtime_ns))
    return tuple(found)
