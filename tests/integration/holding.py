"""A driver as the dispatcher starts it, of trials that hold a CPU for a moment and train nothing.

python -m tests.integration.holding SWEEP_ID ATTEMPT

Each trial writes into its folder from when to when it was held, a line a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sweeper.home import Home
from sweeper.scheduling.run import run
from sweeper.service.driving.drive import drive
from sweeper.service.settings import database_url
from sweeper.service.state.database import Database
from sweeper.trial import Evaluation
from tests.fakes import FakeTraining

HELD = "held"
SECONDS = 2.0


class Holding(FakeTraining):
    """Every evaluation takes as long as any other."""

    def advance(self) -> Evaluation:
        began = time.time()
        time.sleep(SECONDS)
        evaluation = super().advance()
        with (self.folder / HELD).open("a") as held:
            held.write(f"{began} {time.time()}\n")
        return evaluation


def hold(config: Mapping[str, Any], folder: Path, cache: Path) -> Holding:
    """The factory of such trainings."""
    return Holding(config, folder, cache)


if __name__ == "__main__":
    home = Home.at()
    database = Database(database_url(home))
    holding = partial(run, factory=hold, record=False, report=False)
    sys.exit(drive(database, home, sys.argv[1], int(sys.argv[2]), holding))
