"""A small sweep in a process of its own, to be killed: `python -m tests.faults.driver HOME`."""

from __future__ import annotations

import sys
from pathlib import Path

from sweeper.home import Home
from sweeper.scheduling.lasting import run_lasting
from sweeper.scheduling.recording.events import Event, Noted
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Seeds
from tests.fakes import fake

TRIALS = 8
REPLICATES = 4
STEPS = 5

SWEEP = Sweep(
    name="killed",
    base={"steps": STEPS, "every": 1, "seconds": 0.15},
    parameters=(Parameter("x", Range(0.0, 1.0)), Parameter("y", Range(0.0, 1.0))),
    search=Tpe.Config(start_with_base=False),
    seeds=Seeds(confirm_top=2, replicates=2),
    limits=Limits(trials=TRIALS, parallel=2),
)


def main(home: Path) -> int:
    outcome = run_lasting(SWEEP, Home.at(home), events=_tell, factory=fake, report=False)
    print(outcome.state, outcome.message, flush=True)
    return outcome.exit_code


def _tell(event: Event) -> None:
    if isinstance(event, Noted):
        print(event.message, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
