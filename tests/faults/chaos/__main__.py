"""Torment eight sweeps of two hundred trials in all, and say what is wrong with any of them.

    python -m tests.faults.chaos [--trials 24] [--seed 0] [--only search-sqlite-1]

A search or an ablation, recorded in SQLite beside a journal or by an MLflow server beside
PostgreSQL, one trial at a time or two: eight kinds of sweep, each with so many trials, and a search
with six more that confirm its best. Every few seconds something happens to it; it is run again
until it is finished, and audited. One with one trial at a time must have gone the way of an
undisturbed one. The exit status is 1 where the auditor found anything.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests import postgres
from tests.faults.chaos.stage import SETTINGS
from tests.faults.chaos.sweeps import CELLS
from tests.faults.chaos.torment import Chaos


def main() -> int:
    """Say what is done while it is done, and what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=24, help="of each sweep, in fours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[str(setting) for setting in SETTINGS])
    parser.add_argument("--keep", type=Path, help="a folder for the homes, to look into afterwards")
    given = parser.parse_args()
    if given.trials < CELLS or given.trials % CELLS:
        parser.error(f"--trials: a multiple of {CELLS} is needed, as many as an ablation has cells")
    torch.set_num_threads(1)  # as a worker trains: the auditor compares to the last bit
    settings = [one for one in SETTINGS if given.only in (None, str(one))]
    began, findings = time.monotonic(), []
    with (
        tempfile.TemporaryDirectory() as temporary,
        postgres.server(Path(temporary) / "lock") as server,
    ):
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chaos = Chaos(folder, random.Random(given.seed), server.address, given.trials)
        for setting in settings:
            for finding in chaos.torment(setting):
                findings.append(f"{setting}: {finding}")
                print(f"  WRONG: {finding}", flush=True)
    report(chaos, findings, time.monotonic() - began)
    return 1 if findings else 0


def report(chaos: Chaos, findings: list[str], seconds: float) -> None:
    """What was done, and what came of it."""
    print(f"\n{len(chaos.faults)} faults, one every {seconds / max(1, len(chaos.faults)):.0f} s:")
    for kind, times in chaos.kinds.most_common():
        print(f"  {times:3d} {kind}")
    print(
        f"{chaos.sweeps} sweeps, started {chaos.starts} times; {chaos.audited} trials, each there "
        f"once with all its values, but for {len(findings)} findings; {seconds / 60:.1f} minutes"
    )
    for finding in findings:
        print(f"  {finding}")


if __name__ == "__main__":
    sys.exit(main())
