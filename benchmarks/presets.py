"""Every preset trains: its FID on UCI digits over several seeds, beside the bound stated for it.

    python benchmarks/presets.py [NAME ...] [--steps 600] [--seeds 5] [--jobs 2]
    [--out presets.jsonl]

The papers' networks are as wide as their images ask for; on digits of 8×8 all widths are 16,
batches hold 64, and the rest of the preset stays, but for the rates of `r3gan`, whose 768 channels
become 16: Adam moves what a layer gives by rate times inputs, so that networks 48 times narrower
hardly move at rates that were chosen for theirs. They are five times higher here, 1e-3.
`hinge_attention_ema` is no preset but put
together here: DCGAN's networks and rates with the hinge loss, self-attention and averaged weights.
Distances are of 1,024 samples to all 1,797 digits, in the space of the digits extractor; its note
(`trials/metrics/extractors/digits.json`) says how far apart halves of the real digits are. The
bound of each stands below: a preset whose mean lies above it is broken, and the status is 1.

Each training is a line of --out; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

STEPS = 600
BOUNDS: dict[str, float] = {
    "dcgan": 55.0,
    "lsgan": 45.0,
    "rasgan": 13.0,
    "dragan": 95.0,
    "wgan_gp": 17.0,
    "progan": 20.0,
    "sngan": 17.5,
    "r3gan": 17.5,
    "hinge_attention_ema": 60.0,
}
"""The largest mean FID after that many steps of a preset that works: two standard errors and more
above what was measured, and below what its untrained networks have."""

COMPOSED: dict[str, dict[str, Any]] = {
    "hinge_attention_ema": {
        "preset": "dcgan",
        "loss": "hinge",
        "tricks": {"self_attention": True, "ema": True},
    }
}

_RATES = {"lr": 1.0e-3}
NARROW: dict[str, dict[str, Any]] = {
    "r3gan": {"optimizer": {"generator": _RATES, "discriminator": _RATES}}
}
"""What else changes in a preset whose networks are so much narrower here."""


def trial(name: str, steps: int, seed: int) -> dict[str, Any]:
    """The preset at a size that a core trains in seconds."""
    mapping: dict[str, Any] = {
        **COMPOSED.get(name, {"preset": name}),
        **NARROW.get(name, {}),
        "data": "digits",
        "networks": {"generator": {"width": 16}, "discriminator": {"width": 16}},
        "batch_size": 64,
        "steps": steps,
        "evaluation": {"every": steps, "samples": 1024, "metrics": ["fid"]},
        "health": {"stop_on": []},
        "seed": seed,
        "device": "cpu",
    }
    return mapping


def play(name: str, steps: int, seed: int) -> dict[str, Any]:
    """The FID before and after one training; infinite where it came to nothing."""
    import torch

    from trials.config import load_config
    from trials.trainer import Training

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        training = Training(load_config(trial(name, steps, seed)), Path(folder))
        before = training.evaluate().metrics["fid"]
        fid = training.advance().metrics.get("fid", math.inf)
    return {"preset": name, "steps": steps, "seed": seed, "before": before, "fid": fid}


def played(out: Path, steps: int) -> list[dict[str, Any]]:
    """The lines of an earlier run of as many steps."""
    if not out.exists():
        return []
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return [line for line in lines if line["steps"] == steps]


def row(name: str, before: list[float], found: list[float]) -> str:
    """A preset's row in Markdown."""
    spread = statistics.stdev(found) if len(found) > 1 else math.nan
    singles = ", ".join(f"{fid:.1f}" for fid in found)
    mean, start = statistics.fmean(found), statistics.fmean(before)
    bound = BOUNDS.get(name, math.inf)
    return f"| `{name}` | {start:.1f} | {mean:.1f} ± {spread:.1f} | {singles} | {bound:g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("presets.jsonl"))
    arguments = parser.parse_args()
    names = arguments.names or list(BOUNDS)
    results = played(arguments.out, arguments.steps)
    done = {(line["preset"], line["seed"]) for line in results}
    wanted = [
        (name, seed)
        for seed in range(arguments.seeds)
        for name in names
        if (name, seed) not in done
    ]
    # Processes are spawned: a forked one would inherit threads of torch that are not there.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        running = [pool.submit(play, name, arguments.steps, seed) for name, seed in wanted]
        for number, future in enumerate(as_completed(running), 1):
            results.append(future.result())
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print(f"{number}/{len(running)}: {results[-1]}", file=sys.stderr, flush=True)
    print(
        "| preset | FID untrained | trained, mean ± standard deviation | of single seeds | bound |"
    )
    print("|---|---|---|---|---|")
    broken = []
    for name in names:
        of_seed = {line["seed"]: line for line in results if line["preset"] == name}
        lines = [of_seed[seed] for seed in range(arguments.seeds)]
        found = [line["fid"] for line in lines]
        print(row(name, [line["before"] for line in lines], found))
        if not statistics.fmean(found) <= BOUNDS.get(name, math.inf):
            broken.append(name)
    if broken:
        sys.exit(f"above their bounds: {', '.join(broken)}")


if __name__ == "__main__":
    main()
