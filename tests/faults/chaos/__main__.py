"""Torment sweeps until so many faults have been had, then say what is wrong with any of them.

    python -m tests.faults.chaos [--faults 60] [--seed 0] [--only search-sqlite-1]

Eight kinds take turns: a search or an ablation, recorded in SQLite beside a journal or by an MLflow
server beside PostgreSQL, one trial at a time or two. Every sweep is run again until it is finished,
and audited. One with one trial at a time must have gone the way of an undisturbed one. The exit
status is 1 where the auditor found anything.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

from tests import postgres
from tests.faults.chaos.stage import SETTINGS
from tests.faults.chaos.torment import Chaos

FAULTS_A_SWEEP = 8


def main() -> int:
    """Say what is done while it is done, and what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[str(setting) for setting in SETTINGS])
    parser.add_argument("--keep", type=Path, help="a folder for the homes, to look into afterwards")
    given = parser.parse_args()
    settings = [one for one in SETTINGS if given.only in (None, str(one))]
    began, findings = time.monotonic(), []
    with (
        tempfile.TemporaryDirectory() as temporary,
        postgres.server(Path(temporary) / "lock") as server,
    ):
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chaos = Chaos(folder, random.Random(given.seed), server.address)
        for setting in itertools.cycle(settings):
            left = given.faults - len(chaos.faults)
            if left <= 0:
                break
            for finding in chaos.torment(setting, min(left, FAULTS_A_SWEEP)):
                findings.append(f"{setting}: {finding}")
                print(f"  WRONG: {finding}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{len(chaos.faults)} faults in {chaos.sweeps} sweeps, {chaos.audited} trials audited, "
        f"{minutes:.1f} minutes, seed {given.seed}: {len(findings)} findings"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
