"""Is any speed that is claimed lost? `make bench` again, against the committed ratios.

    python -m benchmarks.check [--only training,evaluation,overhead] [--write]

A ratio is our time over the opponent's in the same run, so that a slower or busier machine changes
little of it. What has lost more than 15 % of its speed beside the opponent is named, and the status
is 1. `--write` commits what was measured to `benchmarks/ratios.json` instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("ratios.json")
BENCHMARKS = ("training", "evaluation", "overhead")
"""Those that `make bench` runs; each prints its ratios as its last line with `--json`."""

LOST = 0.15
"""A share of the speed beside the opponent that is more than the noise of these ratios."""


def ratios_of(benchmark: str) -> dict[str, float]:
    """What a benchmark measures now: our time over the opponent's, by `BENCHMARK/OPPONENT`."""
    done = subprocess.run(
        [sys.executable, str(FILE.with_name(f"{benchmark}.py")), "--json"],
        env={**os.environ, "PYTHONPATH": str(FILE.parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith("{"):
        sys.exit(f"benchmarks/{benchmark}.py ended with status {done.returncode} and no ratios")
    found: Mapping[str, float] = json.loads(lines[-1])["ratios"]
    return {f"{benchmark}/{name}": ratio for name, ratio in found.items()}


def lost(measured: float, committed: float) -> float:
    """The share of the speed beside the opponent that is lost; below 0 where it is gained."""
    return 1 - committed / measured


def compared(measured: Mapping[str, float], committed: Mapping[str, float]) -> list[str]:
    """A line for each ratio that was measured, the fallen ones named as such."""
    lines = []
    for name, ratio in measured.items():
        if name not in committed:
            lines.append(f"{name:<24} {ratio:.3f}   not committed yet: --write does it")
            continue
        share = lost(ratio, committed[name])
        verdict = f"FELL by {share:.0%}" if share > LOST else "holds"
        lines.append(f"{name:<24} {ratio:.3f}   {committed[name]:.3f} committed: {verdict}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(BENCHMARKS))
    parser.add_argument("--write", action="store_true", help="commit what is measured")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        parser.error(f"no benchmark of these: {', '.join(unknown)}; one of {', '.join(BENCHMARKS)}")
    committed = json.loads(FILE.read_text("utf-8"))
    measured: dict[str, float] = {}
    for name in chosen:
        measured |= ratios_of(name)
    print("\n".join(compared(measured, committed)))
    if options.write:
        kept = {name: round(ratio, 4) for name, ratio in measured.items()}
        FILE.write_text(json.dumps({**committed, **kept}, indent=2) + "\n", "utf-8")
        return 0
    both = measured.keys() & committed.keys()
    return int(any(lost(measured[name], committed[name]) > LOST for name in both))


if __name__ == "__main__":
    sys.exit(main())
