"""What the quickstart's search gains: its best trial against its base over five seeds.

    make quickstart && python benchmarks/quickstart.py [--home sweeps] [--seeds 5]

The sweep must have been run. Its base configuration is trained on seeds 0 to 4, with the sweep's
own steps and evaluations, and the best trial's FID is compared with the median of the five. The
status is 1 where the best is more than half of it, or where a trial is missing or runs for ever in
the study or in MLflow.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from sweeper.home import Home
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from sweeper.tracking.address import tracking_uri
from sweeper.tracking.runs import find_runs
from trials.config import load_config
from trials.trainer import train


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("sweeps"))
    parser.add_argument("--name", default="quickstart")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    home = Home.at(given.home)
    folder = home.existing(given.name)
    sweep = sweep_of(folder)
    records = records_of(folder, sweep)
    runs = find_runs(tracking_uri(home.path, sweep.tracking.uri), sweep.name)
    states = Counter(record.state for record in records)
    statuses = Counter(run["status"] for run in runs)
    print(f"study:  {len(records)} trials, {dict(states)}")
    print(f"MLflow: {len(runs)} runs (one is the sweep's), {dict(statuses)}")
    base = []
    for seed in range(given.seeds):
        config = load_config({**sweep.base, "seed": seed, "device": "cpu"})
        with tempfile.TemporaryDirectory() as scratch:
            last = train(config, folder=scratch, cache=home.cache).history[-1]
        base.append(last.metrics["fid"])
        print(f"base, seed {seed}: FID {base[-1]:.2f}", flush=True)
    best = min(
        record.objective[0]
        for record in records
        if record.state == "completed" and record.role != "replicate" and record.objective
    )
    median = statistics.median(base)
    print(f"best of the search {best:.2f}, median of the base {median:.2f}: {best / median:.2f}")
    whole = len(runs) == len(records) + 1 and not {"running", "RUNNING"} & {*states, *statuses}
    return 0 if best <= median / 2 and whole else 1


if __name__ == "__main__":
    sys.exit(main())
