"""Sweeps in a home of this machine."""

from __future__ import annotations

import os
import shlex
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sweeper.cli.source import Listing, Sight, Source
from sweeper.cli.summary import summary_of
from sweeper.errors import SweeperError, UserError
from sweeper.home import Home, Request, SweepFolder

if TYPE_CHECKING:
    import pyarrow as pa

    from sweeper.bucket.usage import Published
    from sweeper.disk import Disk
    from sweeper.sweepfile.model import Sweep

LOOK_EVERY = 0.5
"""Seconds between two looks at a log that is followed."""


class HomeSource(Source):
    """The sweeps of one home, read from their studies."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.flag = home.flag

    def listing(self) -> Listing:
        found, failed = [], []
        for name in self._home.names():
            try:
                found.append(summary_of(self._sight(self._home.sweep(name))))
            except (SweeperError, OSError) as error:
                failed.append(f"{name} cannot be read: {error}")
        empty = f"no sweeps in {self._home.path} yet; `sweeper run FILE` starts one"
        return Listing(found, failed, empty)

    def sight(self, name: str, trial: int | None = None, *, whole: bool = False) -> Sight:
        return self._sight(self._home.existing(name))

    def taken(self, name: str) -> tuple[Disk, Published | None]:
        from sweeper.bucket.usage import published_by
        from sweeper.disk import disk_of

        folder = self._home.existing(name)
        return disk_of(folder), published_by(folder)

    def dataset(self, name: str) -> tuple[Sweep, pa.Table]:
        from sweeper.results import dataset_of
        from sweeper.search.looking import sweep_of

        folder = self._home.existing(name)
        sweep = sweep_of(folder)
        return sweep, dataset_of(folder, sweep)

    def report(self, name: str) -> str:
        from sweeper.api import write_report_of

        return str(write_report_of(self._home.existing(name)).html)

    def log(self, name: str, trial: int, *, tail: int | None, follow: bool) -> Iterator[str]:
        from sweeper.bucket.copies import trial_folder

        folder = self._home.existing(name)
        log = trial_folder(folder, trial) / "log.txt"
        try:
            file: BinaryIO = log.open("rb")
        except FileNotFoundError as error:
            self._sight(folder).record(trial)  # there may be no such trial
            raise UserError(f"trial {trial} of {name} has no log") from error
        try:
            yield b"".join(deque(file, maxlen=tail)).decode(errors="replace").rstrip("\n")
            written = b""
            while follow:
                goes_on = folder.driver() is not None  # asked first: what is read then is the rest
                file = _newest(file, log)
                whole, end, written = (written + file.read()).rpartition(b"\n")
                if end or (written and not goes_on):
                    yield (whole + end + (b"" if goes_on else written)).decode(errors="replace")
                if not goes_on:
                    return
                time.sleep(LOOK_EVERY)
        finally:
            file.close()

    def ask(self, name: str, request: Request) -> None:
        self._running(name).ask(request)

    def resume(self, name: str) -> None:
        folder = self._running(name)
        if folder.asked() not in (Request.PAUSE, None):
            raise UserError(f"{name} is being stopped; afterwards, `sweeper run` continues it")
        folder.clear_request()

    def continues(self, name: str) -> str:
        return "`sweeper run`"

    def _running(self, name: str) -> SweepFolder:
        folder = self._home.existing(name)
        if folder.driver() is None:
            again = f"`sweeper run {shlex.quote(str(folder.sweep_yaml))}{self.flag}`"
            raise UserError(f"{name} is not running; {again} continues it")
        return folder

    def _sight(self, folder: SweepFolder) -> Sight:
        from sweeper.search.looking import read_all
        from sweeper.search.unscored import unscored
        from sweeper.standings.progress import OVER, progress_of

        standings, foreign = read_all(folder)
        driver = folder.driver()
        progress = progress_of(standings, driven=driver is not None, asked=folder.asked())
        return Sight(
            folder.name,
            standings,
            progress.state,
            progress.over,
            progress.budget,
            folder.path,
            [asdict(entry) for entry in foreign],
            driver,
            f"process {driver}" if driver else "",
            unscored=unscored(folder, standings) if progress.state in OVER else (),
        )


def _newest(file: BinaryIO, log: Path) -> BinaryIO:
    """The log where it was read to, in the file that lies there now: another attempt's, or what has
    been published since, begins as the one before it."""
    with suppress(FileNotFoundError):
        lying = log.open("rb")
        if os.path.samestat(os.fstat(lying.fileno()), os.fstat(file.fileno())):
            lying.close()
        else:
            lying.seek(file.tell())
            file.close()
            return lying
    return file
