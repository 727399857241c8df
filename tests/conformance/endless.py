"""A driver that runs trials for ever and says of each that it is done, until it is killed.

python -m tests.conformance.endless HOME [STORAGE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation

ENDLESS = Sweep(
    name="endless",
    base={"data": {"name": "digits"}, "steps": 20},
    parameters=(Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(),
)


def main(home: str, storage: str) -> None:
    folder = Home(Path(home)).sweep(ENDLESS.name)
    folder.create()
    ledger = Ledger.open(ENDLESS, folder, storage or None)
    while (asked := ledger.ask()) is not None:
        ledger.started(asked.number)
        for step in (10, 20):
            ledger.report(asked.number, Evaluation(step, 0.0, {"fid": 1.0}))
        ledger.complete(asked.number, [1.0])
        print(asked.number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
