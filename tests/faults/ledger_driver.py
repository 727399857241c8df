"""A driver without Ray, to be frozen: `python -m tests.faults.ledger_driver HOME ADDRESS`.

It asks and completes trials as fast as the study takes them, and says why it ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sweeper.errors import LedgerError, Superseded, SweeperError
from sweeper.home import Home
from sweeper.search.driver_lock import sole_driver
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation

SWEEP = Sweep(
    name="frozen",
    base={"steps": 1},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=100_000),
)


def drive(home: Path, address: str, trials: int, *, adopt: bool) -> list[int]:
    """Ask and complete so many trials. Returns their numbers."""
    folder = Home.at(home).sweep(SWEEP.name)
    folder.create()
    done = []
    with sole_driver(SWEEP.name, address, take_over=adopt):
        ledger = Ledger.open(SWEEP, folder, address, adopt=adopt)
        try:
            for _ in range(trials):
                done.append(train(ledger))
                print(f"completed {done[-1]}", flush=True)
        except LedgerError as error:  # a newer driver may have ended its connections
            raise Superseded(ledger.owner.superseded()) from error
    return done


def train(ledger: Ledger) -> int:
    """One trial from its start to its end."""
    trial = ledger.ask()
    assert trial is not None
    ledger.started(trial.number)
    ledger.report(trial.number, Evaluation(1, 0.0, {"fid": 1.0}))
    ledger.complete(trial.number, [1.0])
    return trial.number


if __name__ == "__main__":
    try:
        drive(Path(sys.argv[1]), sys.argv[2], 100_000, adopt=False)
    except SweeperError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
