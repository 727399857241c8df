"""What 1,000 GPUs and a million trials need: which part breaks first, and at what number.

    python -m benchmarks.large [--trials 600]

First the driver's costs are measured, in this process and without Ray: a sweep of 20 parameters by
TPE, every trial with ten evaluations, recorded in the outbox and sent to MLflow (SQLite). Costs are
processor time, plus what a write waits for the disk. Ray Tune's own share of a trial is that of
`benchmarks/overhead.py`, given here as --tune. Then workers are simulated that train, report to the
one driver, wait for its answer, and take the next trial from it: told is the share of their time
that they wait. What grows with the number of trials is multiplied out.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.proposals import Search
from sweeper.home import Home
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.messages import REHEARSAL, Report
from sweeper.search.journal import Journal, JournalStudies
from sweeper.search.ledger import Ledger
from sweeper.search.looked_at import MOST
from sweeper.search.looking import look_at
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.outbox import Outbox
from sweeper.tracking.sender import Sender
from sweeper.tracking.store import Store
from sweeper.trial import Evaluation

EVALUATIONS = 10
PROTOCOL = {"extractor": "digits", "weights": "0f" * 16, "reference": "ab" * 16, "fakes": "1000"}
GPUS = (100, 300, 1000, 3000, 10_000)
MINUTES = (1, 10, 60)
TRIALS = (10_000, 100_000, 1_000_000)
MEMORY = 64.0
"""GB of the machine that a driver runs on."""


@dataclass
class Costs:
    """Seconds and bytes, each of one trial with its evaluations where nothing else is said."""

    trial: float
    """Seconds of the driver, without the evaluations."""
    evaluation: float
    """Seconds of the driver, of one of them."""
    earlier: float
    """Seconds of the driver, for each trial that was there before."""
    sent: float
    """Seconds of the process that writes to MLflow."""
    replayed: float
    """Seconds that a driver reads as it starts."""
    looked: float
    """Seconds that `status` reads, with the digest."""
    memory: float
    """Bytes of the driver, and of the files that follow."""
    journal: float
    digest: float
    outbox: float
    mlflow: float


# Measuring -------------------------------------------------------------------------------------


class Sweeping:
    """A driver without Ray, whose trials take no time."""

    def __init__(self, home: Home, trials: int) -> None:
        self.sweep = Sweep(
            name="large",
            base={"data": {"name": "digits"}, "steps": EVALUATIONS},
            parameters=tuple(Parameter(f"x{place}", Range(0.0, 1.0)) for place in range(20)),
            search=Tpe.Config(start_with_base=False),
            limits=Limits(trials=trials, parallel=1),
        )
        self.folder = home.sweep(self.sweep.name)
        self.folder.create()
        self.ledger = Ledger.open(self.sweep, self.folder)
        self.outbox = Outbox(self.folder.outbox)
        recorder = Recorder(self.sweep, self.folder, self.outbox)
        recorder.sweep_started(self.ledger.identity)
        self.conductor = Conductor(
            self.sweep, self.folder, self.ledger, recorder, lambda event: None
        )

    def train(self, evaluations: int) -> bool:
        """One trial from its start to its end; False where there is none."""
        work = self.conductor.next_work()
        if work is None:
            return False
        self.conductor.started(work.number)
        if work.number == REHEARSAL:
            self.conductor.heard(work.number, Report(finished=True))
            return True
        loss = sum((value - 0.3) ** 2 for value in work.config.values() if isinstance(value, float))
        for turn in range(1, evaluations + 1):
            metrics = {"fid": loss + 1 / turn, "kid": loss / 9, "recall": 0.4, "d_loss": 1.2}
            told = Evaluation(turn, time.time(), metrics, PROTOCOL)
            self.conductor.heard(work.number, Report((told,), turn == evaluations))
        return True


@contextmanager
def waited(taken: list[float]) -> Iterator[None]:
    """Note what each wait for the disk takes inside the block."""
    kept = os.fsync

    def timed(descriptor: int) -> None:
        began = time.perf_counter()
        kept(descriptor)
        taken.append(time.perf_counter() - began)

    os.fsync = timed  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = kept


def a_trial(sweeping: Sweeping, count: int, evaluations: int) -> float:
    """Seconds for one of `count` trials: processor time, and the median wait of each write."""
    waits: list[float] = []
    before = time.process_time()
    with waited(waits):
        for _ in range(count):
            sweeping.train(evaluations)
    used = time.process_time() - before
    return (used + len(waits) * statistics.median(waits)) / count


def measure(trials: int) -> Costs:
    """All that is measured, with so many trials."""
    with tempfile.TemporaryDirectory() as name:
        home = Home.at(Path(name))
        sweeping = Sweeping(home, trials + 1)
        a_trial(sweeping, 100, EVALUATIONS)  # what comes once, comes here
        first = _resident()
        long = a_trial(sweeping, trials - 200, EVALUATIONS)
        grown = (_resident() - first) / (trials - 200)
        short = a_trial(sweeping, 100, 1)
        evaluation = (long - short) / (EVALUATIONS - 1)
        folder, count = sweeping.folder, trials
        sweeping.outbox.close()
        replayed = _seconds(lambda: JournalStudies(Journal(folder.study_journal)))
        look_at(folder, sweeping.sweep)
        looked = _seconds(lambda: look_at(folder, sweeping.sweep))
        uri = f"sqlite:///{home.mlflow_db}"
        store = Store(uri, home.path / "artifacts")
        empty = home.mlflow_db.stat().st_size
        with Backlog(folder.outbox) as backlog:
            sender = Sender(backlog, store, "nobody", lambda *given: "")
            sent = _seconds(sender.send)
        return Costs(
            trial=short - evaluation,
            evaluation=evaluation,
            earlier=_growth(),
            sent=sent / count,
            replayed=replayed / count,
            looked=looked / count,
            memory=grown,
            journal=folder.study_journal.stat().st_size / count,
            digest=folder.study_digest.stat().st_size / count,
            outbox=_size(folder.outbox) / count,
            mlflow=(home.mlflow_db.stat().st_size - empty) / count,
        )


def _growth(few: int = 1000, many: int = 8000) -> float:
    """By how much a proposal takes longer for each trial before it."""
    taken = []
    for count in (few, many):
        search, dice = Search((Parameter("x", Range(0.0, 1.0)),), MOST, 0), random.Random(0)
        for x in (dice.random() for _ in range(count)):
            search.tell({"x": x}, x)
        search.propose()  # the first one looks at every trial once
        taken.append(statistics.median(_seconds(search.propose) for _ in range(5)))
    return (taken[1] - taken[0]) / (many - few)


def _seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _resident() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss)


def _size(file: Path) -> int:
    """Bytes of an SQLite database, with its log."""
    return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))


# Simulating ------------------------------------------------------------------------------------


def waiting(gpus: int, minutes: float, costs: Costs, tune: float) -> float:
    """The share of their time that workers wait for the one driver, which serves them in turn.

    Each trains for about as long from evaluation to evaluation, half more or less at random, for
    three trials. The last of a trial's reports brings the next trial with it.
    """
    dice = random.Random(0)
    between = 60 * minutes / EVALUATIONS
    due = [(dice.uniform(0, 60 * minutes), worker, 0) for worker in range(gpus)]
    heapq.heapify(due)
    free = trained = waited_for = 0.0
    while due:
        moment, worker, turn = heapq.heappop(due)
        last = turn % EVALUATIONS == EVALUATIONS - 1
        free = max(free, moment) + costs.evaluation + ((costs.trial + tune) if last else 0.0)
        waited_for += free - moment
        if turn + 1 < 3 * EVALUATIONS:
            trains = between * dice.uniform(0.5, 1.5)
            trained += trains
            heapq.heappush(due, (free + trains, worker, turn + 1))
    return waited_for / (waited_for + trained)


def most_gpus(minutes: float, costs: Costs, tune: float, trials: int = 0) -> int:
    """How many one driver can keep busy at all, where so many trials are over."""
    each = costs.trial + tune + EVALUATIONS * costs.evaluation + trials * costs.earlier
    return int(60 * minutes / each)


def report(costs: Costs, tune: float) -> None:
    """Print what was measured, and what follows."""
    print("measured, of a trial with ten evaluations")
    print(
        f"  driver     {1000 * costs.trial:.1f} ms, {1000 * costs.evaluation:.1f} ms an evaluation,"
    )
    print(f"             {1e6 * costs.earlier:.2f} µs for each trial before it,")
    print(f"             {1000 * tune:.1f} ms of Ray Tune, {costs.memory / 1000:.1f} KB of memory")
    print(f"  MLflow     {1000 * costs.sent:.1f} ms of its writer, {costs.mlflow / 1000:.1f} KB")
    print(
        f"  files      {costs.journal / 1000:.1f} KB of journal, {costs.digest / 1000:.1f} KB of ",
        end="",
    )
    print(f"digest, {costs.outbox / 1000:.1f} KB of outbox")
    print(f"  reading    {1e6 * costs.replayed:.0f} µs by a driver that starts, ", end="")
    print(f"{1e6 * costs.looked:.0f} µs by `status`")
    print("\nsimulated: share of the GPUs' time that they wait for their one driver")
    print(f"{'GPUs':>8}" + "".join(f"{f'{minutes} min':>10}" for minutes in MINUTES) + "  a trial")
    for gpus in GPUS:
        shares = [waiting(gpus, minutes, costs, tune) for minutes in MINUTES]
        print(f"{gpus:>8,}" + "".join(f"{share:>10.1%}" for share in shares))
    most = [most_gpus(minutes, costs, tune) for minutes in MINUTES]
    print(f"{'at most':>8}" + "".join(f"{count:>10,}" for count in most))
    sent = [int(60 * minutes / costs.sent) for minutes in MINUTES]
    print(
        f"{'MLflow':>8}"
        + "".join(f"{count:>10,}" for count in sent)
        + "  GPUs its writer keeps up with"
    )
    print("\nmultiplied out, by trials")
    print(f"{'':<30}" + "".join(f"{count:>12,}" for count in TRIALS))
    rows = {
        "driver's memory": (costs.memory / 1e9, "GB"),
        "journal": (costs.journal / 1e9, "GB"),
        "MLflow's database": (costs.mlflow / 1e9, "GB"),
        "a driver's start": (costs.replayed / 60, "min"),
        "`status`": (costs.looked, "s"),
        "MLflow's writer": (costs.sent / 3600, "hours"),
    }
    for what, (each, unit) in rows.items():
        print(f"{what + ', ' + unit:<30}" + "".join(f"{each * count:>12.2f}" for count in TRIALS))
    for minutes in MINUTES:
        most = [most_gpus(minutes, costs, tune, count) for count in TRIALS]
        told = f"GPUs at most, {minutes} min a trial"
        print(f"{told:<30}" + "".join(f"{count:>12,}" for count in most))
    fits = int(MEMORY * 1e9 / costs.memory)
    print(f"a driver with {MEMORY:g} GB holds {fits:,} trials")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=600, help="trials to measure with")
    parser.add_argument("--tune", type=float, default=15.0, help="milliseconds of Ray Tune a trial")
    given = parser.parse_args()
    report(measure(given.trials), given.tune / 1000)


if __name__ == "__main__":
    main()
