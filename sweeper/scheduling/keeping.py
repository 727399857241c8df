"""Lets go of the checkpoints that trials keep for others (population based training), once nobody
can ask for them any more.

A trial asks for what was kept of the milestone that it has just reached. So what was kept of one
goes when the search has all its trials and each of them has come past it, or has ended. What a
trial took over last stays as long as it runs: it may lose what it had since.
"""

from __future__ import annotations

import math
import shutil

from sweeper.home import SweepFolder
from sweeper.scheduling.hand_out import HandOut
from sweeper.scheduling.messages import KEPT_FOLDER
from sweeper.search.ledger import Ledger


class Keeping:
    """What one sweep's trials keep for one another."""

    def __init__(self, folder: SweepFolder, ledger: Ledger, trials: HandOut) -> None:
        self._folder = folder
        self._scheduler = ledger.scheduler
        self._trials = trials
        self._passed = 0.0

    def look(self) -> None:
        """Remove what is kept for nobody."""
        if self._scheduler.kept is None or not self._trials.has_asked_all:
            return
        interval, _ = self._scheduler.kept
        unfinished = self._trials.unfinished
        steps = map(self._scheduler.decided, unfinished)
        passed = min((step // interval for step in steps), default=math.inf)
        if passed <= self._passed:
            return
        self._passed = passed
        taken = {self._scheduler.donor(number) for number in unfinished}
        for place in self._folder.trials.glob(f"*/{KEPT_FOLDER}/*"):
            if not (place.name.isdigit() and place.parent.parent.name.isdigit()):
                continue
            number, step = int(place.parent.parent.name), int(place.name)
            if step // interval <= passed and (number, step) not in taken:
                # That first, so that a kill leaves no part of it which could be taken for whole.
                for checkpoint in place.glob("checkpoint.*"):
                    checkpoint.unlink(missing_ok=True)
                shutil.rmtree(place, ignore_errors=True)
