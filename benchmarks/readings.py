"""Where a paper leaves a choice: a trick read in two ways, on the same seeds.

    python benchmarks/readings.py [NAME ...] [--steps 1000] [--seeds 5] [--out readings.jsonl]

Trainings on UCI digits of 8×8, alike but for one knob, whose default is the reading of the papers'
authors; of each the FID of 1,024 samples to all 1,797 digits after the last step. The mean of the
differences, seed by seed, stands with its 95% interval by Student's t: where that holds 0, these
seeds do not tell the readings apart. Each training is a line of --out; a run that was stopped goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from trials.config import load_config
from trials.presets import merge
from trials.trainer import Training

BASE: dict[str, Any] = {
    "data": "digits",
    "networks": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "batch_size": 64,
    "evaluation": {"samples": 1024, "metrics": ["fid"]},
    "health": {"stop_on": []},
    "device": "cpu",
}


@dataclass(frozen=True)
class Reading:
    """A knob of a trick, the authors' value first, and the training in which it matters."""

    trick: str
    knob: str
    values: tuple[Any, Any]
    words: tuple[str, str]
    around: dict[str, Any]


READINGS = {
    "class_tables": Reading(
        "spectral_norm",
        "class_tables",
        (False, True),
        ("class tables of G plain", "normalised"),
        {
            "networks": {"family": "resnet"},
            "loss": "hinge",
            "conditioning": {"name": "projection", "generator": "norm"},
            "tricks": {"spectral_norm": {"generator": True}},
        },
    ),
    "r1": Reading(
        "r1",
        "at",
        ("images", "seen"),
        ("R1 at the images", "at what is seen of them"),
        {"tricks": {"r1": {"gamma": 1.0}, "diff_augment": True}},
    ),
}


def fid(name: str, value: Any, steps: int, seed: int) -> float:
    """The FID after one training; infinite where it came to nothing."""
    reading = READINGS[name]
    mapping = merge(merge(BASE, reading.around), {"steps": steps, "seed": seed})
    mapping = merge(mapping, {"evaluation": {"every": steps}})
    mapping = merge(mapping, {"tricks": {reading.trick: {reading.knob: value}}})
    with tempfile.TemporaryDirectory() as folder:
        return Training(load_config(mapping), Path(folder)).advance().metrics.get("fid", math.inf)


def row(words: str, found: list[float]) -> str:
    """A reading's row in Markdown."""
    singles = ", ".join(f"{value:.1f}" for value in found)
    spread = statistics.stdev(found) if len(found) > 1 else math.nan
    return f"| {words} | {statistics.fmean(found):.1f} ± {spread:.1f} | {singles} |"


def difference(first: list[float], other: list[float]) -> str:
    """How far the second reading lies above the first, in words."""
    apart = [b - a for a, b in zip(first, other, strict=True)]
    mean, higher = statistics.fmean(apart), sum(value > 0 for value in apart)
    if len(apart) < 2:
        return f"{mean:+.1f}"
    half = stats.t.ppf(0.975, len(apart) - 1) * statistics.stdev(apart) / math.sqrt(len(apart))
    return (
        f"{mean:+.1f}, 95% interval {mean - half:+.1f} to {mean + half:+.1f},"
        f" higher on {higher} of {len(apart)} seeds"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(READINGS))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("readings.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = arguments.out.read_text("utf-8").splitlines() if arguments.out.exists() else []
    done = {
        (line["reading"], line["value"], line["steps"], line["seed"]): line["fid"]
        for line in map(json.loads, lines)
    }
    for name in arguments.names or READINGS:
        reading = READINGS[name]
        for seed in range(arguments.seeds):
            for value in reading.values:
                if (name, value, arguments.steps, seed) in done:
                    continue
                found = fid(name, value, arguments.steps, seed)
                done[name, value, arguments.steps, seed] = found
                line = {"reading": name, "value": value, "steps": arguments.steps, "seed": seed}
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**line, "fid": found}) + "\n")
                print(f"{line}: {found:.2f}", file=sys.stderr, flush=True)
        sides = [
            [done[name, value, arguments.steps, seed] for seed in range(arguments.seeds)]
            for value in reading.values
        ]
        print(f"\n| `{reading.trick}.{reading.knob}` | fid, mean ± standard deviation | by seed |")
        print("|---|---|---|")
        for words, side in zip(reading.words, sides, strict=True):
            print(row(words, side))
        print(f"\n{reading.words[1]}, against {reading.words[0]}: {difference(*sides)}")


if __name__ == "__main__":
    main()
