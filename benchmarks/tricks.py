"""What each trick costs: its step time as a ratio to that of the same training without it.

    python benchmarks/tricks.py [NAME ...] [--steps 60] [--repeats 3] [--write]

Trainings on UCI digits, with and without the trick, in the surroundings in which it makes sense
(its `example`), take turns. Each is timed in parts, as CPU time of one thread, and of each part
the quickest of several repeats counts, so that a busy machine changes little, and a trick that
costs more in one phase than in another counts in full. A loss, a way of using labels or a task is
compared with the default of its kind. `generator_ensemble` chooses a fixed number of times in a
training, however long, and is measured over 1,000 steps. `--write` puts the ratios into
`trials/costs.json`, where `sweeper tricks NAME` finds them.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trials import catalogue
from trials.config import load_config
from trials.presets import merge
from trials.trainer import Training
from trials.trick import Trick

FILE = Path(catalogue.__file__).with_name("costs.json")
PARTS = 10
LONG = {"generator_ensemble": 1000}
"""Steps of a training in which a trick's cost is what it is in trainings that people run."""

BASE: dict[str, Any] = {
    "data": {"name": "digits"},
    "networks": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "batch_size": 32,
    "device": "cpu",
}


def surroundings(trick: type[Trick], steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The training without the trick, and with it."""
    plain = merge(merge(BASE, trick.example), {"steps": steps})
    path, example = catalogue.path_of(trick.key), trick.example.get("tricks", {})
    if path in catalogue.SELECTORS:
        return plain, merge(plain, {path: trick.key})
    knobs = example.get(trick.key, {})
    without = {key: value for key, value in example.items() if key != trick.key}
    plain["tricks"] = without
    return plain, merge(plain, {"tricks": {trick.key: knobs}})


def seconds(mapping: Mapping[str, Any]) -> list[float]:
    """CPU time of each part of a training, evaluations left out."""
    with tempfile.TemporaryDirectory() as folder:
        training = Training(load_config(mapping), Path(folder))
        times = []
        for part in range(1, PARTS + 1):
            began = time.process_time()
            training.run_to(training.config.steps * part // PARTS)
            times.append(time.process_time() - began)
    return times


def ratio(trick: type[Trick], steps: int, repeats: int) -> float:
    """Time with the trick over time without it, each part at its quickest."""
    pair = surroundings(trick, steps)
    runs = [[seconds(mapping) for mapping in pair] for _ in range(repeats)]
    plain, with_it = (
        sum(min(run[side][part] for run in runs) for part in range(PARTS)) for side in (0, 1)
    )
    return with_it / plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = catalogue.tricks()
    ratios = {}
    for name in arguments.names or known:
        steps = LONG.get(name, arguments.steps)
        ratios[name] = round(ratio(known[name], steps, arguments.repeats), 2)
        print(f"{name:<28} {ratios[name]:6.2f}", flush=True)
    if arguments.write:
        before = json.loads(FILE.read_text("utf-8"))["ratios"] if FILE.exists() else {}
        kept = {name: value for name, value in {**before, **ratios}.items() if name in known}
        about = {
            "steps": {"every trick": arguments.steps, **LONG},
            "repeats": arguments.repeats,
            "batch_size": BASE["batch_size"],
            "torch": torch.__version__.partition("+")[0],
            "machine": f"one thread, {platform.machine()}",
        }
        content = {"measured": about, "ratios": dict(sorted(kept.items()))}
        FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
