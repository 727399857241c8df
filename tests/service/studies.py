"""Studies as a driver would have left them, without one: through the ledger, in one write."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sweeper.home import SweepFolder
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.ledger import Ledger
from sweeper.service.state.tables import Sweep
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.trial import Evaluation

PROTOCOL = {"extractor": "digits", "reference": "0123", "fake_count": "100"}


def begin(home_folder: SweepFolder, row: Sweep) -> Ledger:
    """Begin the study of a sweep that is in the queue."""
    home_folder.create()
    sweep = sweep_from_dict(row.spec)
    ledger = Ledger.open(sweep, home_folder)
    keep_spec(sweep, home_folder, None)
    return ledger


def run(ledger: Ledger, endings: Sequence[str], evaluations: int = 2) -> None:
    """Run a trial for each ending: completed, pruned, failed or running."""
    for ending in endings:
        with ledger.together():
            _run_one(ledger, ending, evaluations)


def _run_one(ledger: Ledger, ending: str, evaluations: int) -> None:
    trial = ledger.ask()
    assert trial is not None
    number, value = trial.number, 0.0
    ledger.started(number)
    for step in range(1, evaluations + 1):
        value = 100.0 / step + number % 7
        metrics = {"fid": value, "d_loss": 0.5}
        samples = f"samples/{step:06d}.png"
        ledger.report(number, Evaluation(step, time.time(), metrics, PROTOCOL, (), samples))
    if ending == "completed":
        ledger.complete(number, [value])
    elif ending == "pruned":
        ledger.prune(number, "scheduler", "not among the best")
    elif ending == "failed":
        ledger.fail(number, "error", "ValueError: no", "the last line")
