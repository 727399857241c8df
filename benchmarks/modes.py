"""PacGAN's Table 1 (arXiv:1712.04086): modes that a GAN finds in mixtures of Gaussians.

    python benchmarks/modes.py            # the short schedule: 70 minutes on two cores
    python benchmarks/modes.py --full     # the paper's: for GPUs
    [--data ring,grid] [--methods plain,packing_2,...] [--seeds 10] [--first-seed 0]
    [--steps N] [--narrow K] [--lr R] [--ratio R] [--decay D] [--init I]
    [--jobs 2] [--device cpu] [--out modes.jsonl]

The setting is the paper's, as published with its code (fjxmlzn/PacGAN): z two-dimensional normal,
a generator of four layers of 400 with batch norm, a discriminator of three layers of 200 maxout
units of 5 pieces, weights N(0, 0.02²), Adam at 1e-4 with β₁ 0.8, batches of 100 packs, 400,000
steps (400 passes over 100,000 packs), 2,500 samples. Every method takes as many generator steps;
a pack of m is made of m samples, so packing draws m times as many. Players take turns here; in the
paper's code both move at once.

The short schedules divide widths (and the kernels of minibatch discrimination) by 4. On the ring
4,000 steps at a rate of 1e-3 are enough for samples to settle on modes. On the grid they are not,
at any rate that was tried: there it takes weights N(0, 2/fan in), rates of 1e-3 and 8e-3 that fall
to 0, and 8,000 steps. They were chosen by the plain GAN and by packing, with seeds 100 and 101;
reported are seeds 0 to 9.

Each training is a line of --out; a run that was stopped goes on where it was. The table stands
beside the paper's figures, whatever it says.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

PACKS = 100
KERNELS = 50
MEASURES = ("modes", "high_quality", "reverse_kl")
SETTLED = 0.05
"""Share of high quality below which samples are not on modes: those of a uniform cloud over the
grid's square are of high quality in 2.8 % of cases, and hit every mode by chance."""


class Schedule(NamedTuple):
    """What a run on few cores may change: length, widths divided by `narrow`, the generator's
    learning rate, that of the discriminator over it, their decay over the training, and the first
    weights."""

    steps: int
    narrow: int
    lr: float
    ratio: float
    decay: str
    init: str

    def __str__(self) -> str:
        return (
            f"{self.steps:,} steps, widths divided by {self.narrow}, rates {self.lr:g} and "
            f"{self.lr * self.ratio:g}, decay {self.decay}, weights {self.init}"
        )


PAPER = Schedule(400_000, 1, 1e-4, 1, "none", "normal")
SHORT = {
    "ring": Schedule(4_000, 4, 1e-3, 1, "none", "normal"),
    "grid": Schedule(8_000, 4, 1e-3, 8, "linear", "he"),
}
GENERATOR: dict[str, Any] = {
    "depth": 4,
    "width": 400,
    "norm": "batch",
    "activation": "relu",
}
DISCRIMINATOR: dict[str, Any] = {
    "depth": 3,
    "width": 200,
    "norm": "none",
    "activation": "maxout",
    "pieces": 5,
}
DATA: dict[str, dict[str, Any]] = {
    "ring": {"name": "ring", "modes": 8, "radius": 1.0, "std": 0.01},
    "grid": {"name": "grid", "side": 5, "spacing": 2.0, "std": 0.05},
}
METHODS: dict[str, dict[str, Any]] = {
    "plain": {},
    "packing_2": {"packing": {"samples": 2}},
    "packing_4": {"packing": {"samples": 4}},
    "gradient_penalty": {"gradient_penalty": True},
    "minibatch_discrimination": {"minibatch_discrimination": True},
    "unrolled_5": {"unrolled": {"steps": 5}},
}
PUBLISHED: dict[tuple[str, str], tuple[str, str, str]] = {
    ("ring", "plain"): ("6.3 ± 0.5", "98.2 ± 0.2", "0.45 ± 0.09"),
    ("ring", "packing_2"): ("7.9 ± 0.1", "95.6 ± 2.0", "0.07 ± 0.03"),
    ("ring", "packing_4"): ("7.8 ± 0.1", "95.9 ± 1.4", "0.07 ± 0.02"),
    ("grid", "plain"): ("17.3 ± 0.8", "94.8 ± 0.7", "0.70 ± 0.07"),
    ("grid", "packing_2"): ("23.8 ± 0.7", "91.3 ± 0.8", "0.13 ± 0.04"),
    ("grid", "packing_4"): ("24.8 ± 0.2", "93.6 ± 0.6", "0.04 ± 0.01"),
}
"""Table 1: modes, share of high quality in %, reverse KL; mean ± standard error of 10 runs."""


def trial(data: str, method: str, schedule: Schedule, seed: int, device: str) -> dict[str, Any]:
    """The configuration of one training."""
    tricks = dict(METHODS[method])
    if "minibatch_discrimination" in tricks:
        tricks["minibatch_discrimination"] = {"kernels": KERNELS // schedule.narrow}
    packed = tricks.get("packing", {}).get("samples", 1)
    adam = {"name": "adam", "beta1": 0.8, "beta2": 0.999, "decay": schedule.decay}
    players = {
        name: {**player, "width": player["width"] // schedule.narrow, "init": schedule.init}
        for name, player in (("generator", GENERATOR), ("discriminator", DISCRIMINATOR))
    }
    return {
        "data": {**DATA[data], "seed": seed},
        "networks": {"family": "mlp", **players},
        "latent": {"distribution": "normal", "dim": 2},
        "loss": "non_saturating",
        "optimizer": {
            "generator": {**adam, "lr": schedule.lr},
            "discriminator": {**adam, "lr": schedule.lr * schedule.ratio},
        },
        "batch_size": PACKS * packed,
        "steps": schedule.steps,
        "tricks": tricks,
        "evaluation": {"every": schedule.steps, "samples": 2500, "metrics": list(MEASURES)},
        "health": {"stop_on": []},
        "seed": seed,
        "device": device,
    }


def play(data: str, method: str, schedule: Schedule, seed: int, device: str) -> dict[str, Any]:
    """Train once, and say what was found."""
    import torch

    from trials.config import load_config
    from trials.trainer import Training

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        training = Training(load_config(trial(data, method, schedule, seed, device)), Path(folder))
        metrics = training.advance().metrics
    facts = {"data": data, "method": method, "seed": seed, **schedule._asdict()}
    return {**facts, **{name: metrics[name] for name in MEASURES}}


def played(out: Path, schedules: Mapping[str, Schedule]) -> list[dict[str, Any]]:
    """The lines of an earlier run of the same schedules."""
    if not out.exists():
        return []
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return [
        line
        for line in lines
        if line["data"] in schedules and schedules[line["data"]]._asdict().items() <= line.items()
    ]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and standard error of the mean."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.fmean(values), error


def table(results: list[dict[str, Any]], data: str) -> Iterator[str]:
    """One mixture's rows in Markdown."""
    yield (
        "| | seeds | modes | high quality, % | reverse KL "
        "| paper: modes | high quality | reverse KL |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for method in METHODS:
        rows = [row for row in results if (row["data"], row["method"]) == (data, method)]
        if not rows:
            continue
        found = {name: mean_and_error([row[name] for row in rows]) for name in MEASURES}
        quality = tuple(100 * value for value in found["high_quality"])
        ours = (
            "{:.1f} ± {:.1f}".format(*found["modes"]),
            "{:.1f} ± {:.1f}".format(*quality),
            "{:.2f} ± {:.2f}".format(*found["reverse_kl"]),
        )
        published = PUBLISHED.get((data, method), ("", "", ""))
        yield f"| `{method}` | {len(rows)} | " + " | ".join((*ours, *published)) + " |"


def verdict(results: list[dict[str, Any]], data: str) -> str:
    """Whether packing finds more modes than the plain GAN, beyond the errors."""
    found: Mapping[str, list[dict[str, Any]]] = {
        method: [row for row in results if (row["data"], row["method"]) == (data, method)]
        for method in METHODS
    }
    if len(found["plain"]) < 2:
        return f"{data}: two seeds or more are needed to compare"
    plain, error = mean_and_error([row["modes"] for row in found["plain"]])
    told = []
    for method in ("packing_2", "packing_4"):
        rows = found[method]
        if len(rows) < 2:
            continue
        quality = statistics.fmean(row["high_quality"] for row in rows)
        if quality < SETTLED:
            told.append(f"{method} has not settled on modes, at {quality:.1%} of high quality")
            continue
        mean, other = mean_and_error([row["modes"] for row in rows])
        gain, both = mean - plain, math.hypot(error, other)
        judged = "more than" if gain > both else "not more than"
        told.append(f"{method} finds {gain:+.1f} modes, {judged} the error of {both:.1f}")
    return f"{data}: " + ("; ".join(told) or "packing has not been run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the paper's schedule")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--narrow", type=int, help="divides all widths")
    parser.add_argument("--lr", type=float, help="the generator's")
    parser.add_argument("--ratio", type=float, help="the discriminator's rate over it")
    parser.add_argument("--decay")
    parser.add_argument("--init")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", type=Path, default=Path("modes.jsonl"))
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in Schedule._fields}
    changes = {name: value for name, value in given.items() if value is not None}
    schedules = {
        data: (PAPER if arguments.full else SHORT[data])._replace(**changes)
        for data in arguments.data.split(",")
    }
    results = played(arguments.out, schedules)
    done = {(row["data"], row["method"], row["seed"]) for row in results}
    wanted = [
        (data, method, seed)
        for method in arguments.methods.split(",")  # the cheap ones first
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        for data in schedules
        if (data, method, seed) not in done
    ]
    # Processes are spawned: a forked one would inherit threads of torch that are not there.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        running = [
            pool.submit(play, data, method, schedules[data], seed, arguments.device)
            for data, method, seed in wanted
        ]
        for number, future in enumerate(as_completed(running), 1):
            row = future.result()
            results.append(row)
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{number}/{len(running)}: {row}", flush=True)
    print(f"\nThe paper's schedule: {PAPER}.\n")
    for data, schedule in schedules.items():
        print(f"{data}: {schedule}\n")
        print("\n".join(table(results, data)))
        print(f"\n{verdict(results, data)}\n")


if __name__ == "__main__":
    main()
