"""A long sweep of trials that do nothing, whose driver is killed again and again.

    python -m benchmarks.scale [--trials 10000] [--parameters 20] [--sampler tpe] [--kills 5]

Everything is recorded in MLflow (SQLite). The driver is killed by SIGKILL at even distances, and
run again. Afterwards every trial is looked up in the study and in MLflow: none may be missing, none
may be there twice. Told for each tenth of the sweep: milliseconds a trial by the clock and of the
driver's processor time, and the driver's memory, within the drivers' lives; starts are left out.

Targets: nothing lost or doubled; the last tenth takes at most 1.3 times what the first takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.overhead import Nothing
from sweeper.home import Home
from sweeper.scheduling import closing
from sweeper.scheduling.recording.events import TrialEnded
from sweeper.scheduling.run import run
from sweeper.search.reader import read_study
from sweeper.search.sampler import Sampler
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.tracking.runs import find_runs

ROOT = Path(__file__).parents[1]
NOTED_EVERY = 10
"""Trials between two lines that a driver writes of itself."""

# A driver --------------------------------------------------------------------------------------


def sweep_of(trials: int, parameters: int, sampler: str) -> Sweep:
    return Sweep(
        name="nothing",
        base={"steps": 1},
        parameters=tuple(Parameter(f"x{place}", Range(0.0, 1.0)) for place in range(parameters)),
        search=Sampler.named(sampler).Config(start_with_base=False),
        limits=Limits(trials=trials, parallel=2),
    )


def drive(home: Path, sweep: Sweep) -> int:
    """Run the sweep in this process, and print how it goes, a line of JSON every few trials."""
    me, over = psutil.Process(), 0

    def hear(event: Any) -> None:
        nonlocal over
        if isinstance(event, TrialEnded):
            over += 1
            if over % NOTED_EVERY == 1:
                used = me.cpu_times()
                memory = me.memory_info().rss
                told = [event.number, time.monotonic(), used.user + used.system, memory]
                print(json.dumps(told), flush=True)

    closing.PATIENCE = 600.0  # until MLflow has everything, however long that is
    outcome = run(sweep, Home.at(home), events=hear, factory=Nothing, report=False)
    print(outcome.state, outcome.message, file=sys.stderr)
    return outcome.exit_code


# Killing it ------------------------------------------------------------------------------------


def lives(home: Path, given: argparse.Namespace) -> Iterator[list[list[float]]]:
    """What each driver has told of itself, one after another, until the sweep is over."""
    marks = [given.trials * turn // (given.kills + 1) for turn in range(1, given.kills + 1)]
    while True:
        mark = marks.pop(0) if marks else None
        told, ended = one_life(home, given, mark)
        yield told
        if ended is not None and mark is None:
            if ended:
                sys.exit(f"the driver failed: {(home / 'errors').read_text()[-2000:]}")
            return


def one_life(
    home: Path, given: argparse.Namespace, mark: int | None
) -> tuple[list[list[float]], int | None]:
    """Run one driver until trial `mark` is over, then kill it; its exit status where it ended."""
    command = [sys.executable, "-m", "benchmarks.scale", "--drive", str(home)]
    for name in ("trials", "parameters", "sampler"):
        command.append(f"--{name}={getattr(given, name)}")
    told: list[list[float]] = []
    with (home / "errors").open("a") as errors:
        driver = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert driver.stdout is not None
        for line in driver.stdout:
            if line.startswith("["):
                told.append(json.loads(line))
                if mark is not None and told[-1][0] >= mark:
                    break
        else:
            return told, driver.wait()
        driver.kill()
        driver.wait()
        driver.stdout.close()
    print(f"killed at trial {int(told[-1][0])}", flush=True)
    return told, None


# Afterwards ------------------------------------------------------------------------------------


def check(home: Path, sweep: Sweep) -> str:
    """What is lost or doubled, in words."""
    place = Home.at(home)
    reader = read_study(sweep, place.sweep(sweep.name))
    assert reader is not None
    expected = list(range(sweep.limits.trials or 0))
    trials = reader.trials()
    whole = [t.number for t in trials if t.state == "completed" and len(t.evaluations) == 1]
    runs = find_runs(f"sqlite:///{place.mlflow_db}", sweep.name)
    counted = Counter(run["tags"]["sweeper.trial"] for run in runs)
    counted.pop("sweep")
    open_runs = sum(run["status"] != "FINISHED" for run in runs)
    numbers = Counter(int(name) for name in counted.elements())
    faults = {
        "lost or unfinished in the study": len(set(expected) - set(whole)),
        "too many in the study": len(trials) - len(expected),
        "lost in MLflow": len(set(expected) - set(numbers)),
        "doubled in MLflow": sum(count - 1 for count in numbers.values()),
        "not finished in MLflow": open_runs,
    }
    return ", ".join(f"{count} {what}" for what, count in faults.items())


def report(told: list[list[list[float]]], trials: int) -> None:
    """The table: a line for each tenth, of what drivers took between two of their own lines."""
    spent: dict[int, list[float]] = {}
    for life in told:
        for before, after in itertools.pairwise(life):
            if after[0] <= before[0]:
                continue
            row = spent.setdefault(int(10 * before[0] / trials), [0.0, 0.0, 0.0, 0.0])
            row[0] += NOTED_EVERY
            row[1] += after[1] - before[1]
            row[2] += after[2] - before[2]
            row[3] = max(row[3], after[3])
    print(f"{'trials':>16}{'clock ms':>10}{'processor ms':>14}{'memory MB':>11}")
    for tenth, (count, clock, used, memory) in sorted(spent.items()):
        span = f"{tenth * trials // 10:,}–{(tenth + 1) * trials // 10:,}"
        cells = f"{1000 * clock / count:>10.1f}{1000 * used / count:>14.1f}{memory / 1e6:>11.0f}"
        print(f"{span:>16}{cells}")
    rows = [spent[tenth] for tenth in sorted(spent)]
    for name, place in (("clock", 1), ("processor", 2)):
        first, last = (row[place] / row[0] for row in (rows[0], rows[-1]))
        print(f"last tenth / first, {name}: {last / first:.2f} (target: at most 1.3)")
    longest = max(told, key=len)
    grown = (longest[-1][3] - longest[0][3]) / (longest[-1][0] - longest[0][0])
    print(f"memory grows by {grown / 1000:.1f} KB a trial within one driver")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--parameters", type=int, default=20, help="8 at least")
    parser.add_argument("--sampler", default="tpe", choices=("tpe", "random"))
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    sweep = sweep_of(given.trials, given.parameters, given.sampler)
    if given.drive is not None:
        sys.exit(drive(given.drive, sweep))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        told = [*lives(Path(folder), given)]
        print(f"{given.trials:,} trials, {given.sampler}, in {time.monotonic() - began:.0f} s")
        report(told, given.trials)
        print(check(Path(folder), sweep))


if __name__ == "__main__":
    main()
