"""Does the watcher see failing GANs, and does it leave healthy ones alone?

    python -m benchmarks.health [--folder health] [--failing 10] [--healthy 5]

For each symptom one GAN that is made to fail that way, on ten seeds, and ten healthy GANs of
different losses and tricks on five seeds each; small networks on UCI digits and on the grid of 25
Gaussians. Nothing is stopped: every training runs to its end, and what each evaluation showed is
kept in FOLDER, a file a training. An interrupted benchmark goes on where it stood, and one that
is complete only judges anew, by the thresholds as they are now.

A failure is caught where its own symptom is reported at all; beside it stands the share of the
budget that had been spent by then. A false alarm is a healthy training with any symptom at any
evaluation. The watcher's cost is what it does at an evaluation, the statistics of the samples that
only it needs included, over the time of the whole training, on the base of the quickstart.

Targets: 9 of 10 of each symptom caught, at most 1 false alarm in 50, a cost below 2 %.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml

from trials.config import TrialConfig, load_config
from trials.health import HealthConfig, Signals, Symptom, Watcher
from trials.presets import merge
from trials.trainer import Training

Mapped = Mapping[str, Any]

QUICKSTART = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"
CAUGHT, FALSE_ALARMS, COST = 0.9, 1 / 50, 0.02

DIGITS: Mapped = {
    "data": {"name": "digits"},
    "networks": {"generator": {"width": 12}, "discriminator": {"width": 12}},
    "latent": {"dim": 16},
    "batch_size": 32,
    "steps": 600,
    "evaluation": {"every": 25, "samples": 500, "metrics": ["fid"], "grid": 4},
    "health": {"stop_on": []},
    "device": "cpu",
}
GRID: Mapped = merge(
    DIGITS,
    {
        "data": {"name": "grid"},
        "networks": {
            "generator": {"family": "mlp", "width": 64, "depth": 3, "norm": "none"},
            "discriminator": {"family": "mlp", "width": 64, "depth": 3},
        },
        "latent": {"dim": 2},
        "batch_size": 128,
        "steps": 1500,
        "evaluation": {"every": 60, "samples": 1000},
    },
)


def rates(generator: float, discriminator: float, **knobs: float) -> dict[str, Any]:
    """Learning rates of both players, and knobs that both share."""
    return {
        "optimizer": {
            "generator": {"lr": generator, **knobs},
            "discriminator": {"lr": discriminator, **knobs},
        }
    }


@dataclass(frozen=True)
class Case:
    """One GAN. `later` changes its settings once `TURN` of the steps are done."""

    base: Mapped
    changes: Mapped
    what: str
    later: Mapped | None = None


TURN = 0.4
SHORT: Mapped = {"steps": 360, "evaluation": {"every": 15}}

FAILING: Mapping[str, Case] = {
    "divergence": Case(
        DIGITS, merge(SHORT, rates(0.5, 0.5)), "digits; both learning rates 0.5, 250 times too high"
    ),
    "convergence_failure": Case(
        DIGITS,
        merge(SHORT, merge(rates(1e-5, 5e-3), {"critic_steps": 3})),
        "digits; three discriminator steps for each of the generator, at 500 times its rate",
    ),
    "diminished_gradient": Case(
        DIGITS,
        merge(SHORT, merge(rates(2e-4, 5e-3), {"loss": "minimax", "critic_steps": 2})),
        "digits; the saturating loss against a strong discriminator",
    ),
    "mode_collapse": Case(
        GRID, rates(1e-2, 1e-4), "grid; a generator 100 times faster than its discriminator"
    ),
    "oscillation": Case(
        GRID, rates(1e-2, 1e-3, beta1=0.9), "grid; a fast generator with momentum chases its judge"
    ),
    "past_best": Case(
        GRID,
        rates(1e-3, 1e-3),
        "grid; goes well, then both learning rates rise thirtyfold",
        later=rates(3e-2, 3e-2),
    ),
}

HEALTHY: Mapping[str, Case] = {
    "non_saturating": Case(DIGITS, rates(2e-3, 2e-3), "digits"),
    "hinge, spectral_norm": Case(
        DIGITS,
        merge(rates(2e-3, 4e-3), {"loss": "hinge", "tricks": {"spectral_norm": True}}),
        "digits",
    ),
    "lsgan, ema": Case(
        DIGITS,
        merge(rates(2e-3, 2e-3), {"loss": "lsgan", "tricks": {"ema": {"decay": 0.97}}}),
        "digits",
    ),
    "wgan, gradient_penalty": Case(
        DIGITS,
        merge(rates(2e-3, 2e-3), {"loss": "wgan", "tricks": {"gradient_penalty": True}}),
        "digits",
    ),
    "relativistic, r1, r2": Case(
        DIGITS,
        merge(rates(2e-3, 2e-3), {"loss": "relativistic", "tricks": {"r1": True, "r2": True}}),
        "digits",
    ),
    "non_saturating, label_smoothing, instance_noise": Case(
        DIGITS,
        merge(rates(2e-3, 2e-3), {"tricks": {"label_smoothing": True, "instance_noise": True}}),
        "digits",
    ),
    "hinge, projection": Case(
        DIGITS, merge(rates(2e-3, 2e-3), {"loss": "hinge", "conditioning": "projection"}), "digits"
    ),
    "non_saturating, mlp": Case(GRID, rates(1e-3, 1e-3), "grid"),
    "non_saturating, packing": Case(
        GRID, merge(rates(1e-3, 1e-3), {"tricks": {"packing": {"samples": 2}}}), "grid"
    ),
    "hinge, r1": Case(
        GRID, merge(rates(1e-3, 1e-3), {"loss": "hinge", "tricks": {"r1": True}}), "grid"
    ),
}
"""Ten GANs that nothing is wrong with; the last column of the report says how well they end."""


# Training ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What a training showed: its budget in steps, and one record an evaluation."""

    steps: int
    history: tuple[Signals, ...]


def recorded(case: Case, seed: int, file: Path, cache: Path) -> Run:
    """The training of a case on a seed, run unless its file is there."""
    if not file.exists():
        scratch = file.with_suffix("")
        shutil.rmtree(scratch, ignore_errors=True)
        config = load_config(merge(merge(case.base, case.changes), {"seed": seed}))
        signals = list(_trained(case, config, scratch, cache))
        shutil.rmtree(scratch)
        content = {"steps": config.steps, "history": [one.as_dict() for one in signals]}
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(content))
        temporary.replace(file)
    content = json.loads(file.read_text())
    return Run(content["steps"], tuple(map(Signals.from_dict, content["history"])))


def _trained(case: Case, config: TrialConfig, scratch: Path, cache: Path) -> Iterator[Signals]:
    training = Training(config, scratch / "first", cache=cache)
    while not training.finished:
        if case.later is not None and training.step == round(TURN * config.steps):
            changed = load_config(merge(config.as_dict(), case.later))
            later = Training(changed, scratch / "second", cache=cache)
            later.take_over(training.folder)
            training, case = later, Case(case.base, case.changes, case.what)
        training.advance()
        yield training.monitor.watcher.history[-1]


# Judging -----------------------------------------------------------------------------------------


def symptoms(run: Run) -> list[Symptom]:
    """All that the watcher reports, by today's thresholds."""
    watcher = Watcher(HealthConfig())
    return [symptom for signals in run.history for symptom in watcher.observe(signals)]


def first_seen(run: Run, name: str) -> float | None:
    """At which share of the budget a symptom was first reported; None if it never was."""
    return next((one.step / run.steps for one in symptoms(run) if one.name == name), None)


def failures_table(runs: Mapping[str, Sequence[Run]]) -> tuple[str, bool]:
    """Caught failures by symptom, and whether each was caught often enough."""
    lines = [
        "| symptom | how it is made | caught | at share of the budget: median | at the latest |",
        "|---|---|---|---|---|",
    ]
    good = True
    for name, ran in runs.items():
        shares = [share for run in ran if (share := first_seen(run, name)) is not None]
        good &= len(shares) >= CAUGHT * len(ran)
        median = f"{statistics.median(shares):.0%}" if shares else "–"
        latest = f"{max(shares):.0%}" if shares else "–"
        caught = f"{len(shares)} of {len(ran)}"
        lines.append(f"| `{name}` | {FAILING[name].what} | {caught} | {median} | {latest} |")
    return "\n".join(lines), good


def healthy_table(runs: Mapping[str, Sequence[Run]]) -> tuple[str, bool]:
    """False alarms by configuration, and whether they are few enough."""
    lines = [
        "| healthy GAN | data | last FID, over that of the mean image: median | false alarms |",
        "|---|---|---|---|",
    ]
    alarms = 0
    for name, ran in runs.items():
        found = [sorted({one.name for one in symptoms(run)}) for run in ran]
        wrong = [names for names in found if names]
        alarms += len(wrong)
        told = f"{len(wrong)} of {len(ran)}" + "".join(f" ({', '.join(n)})" for n in wrong)
        ends = [(run.history[-1].fid or 0.0) / (run.history[-1].fid_scale or 1.0) for run in ran]
        lines.append(f"| {name} | {HEALTHY[name].what} | {statistics.median(ends):.3f} | {told} |")
    total = sum(map(len, runs.values()))
    lines.append(f"\nFalse alarms: {alarms} of {total} healthy trainings.")
    return "\n".join(lines), alarms <= FALSE_ALARMS * total


class Stopwatch:
    """Sums the processor time of the calls that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            started = time.process_time()
            try:
                return function(*given)
            finally:
                self.seconds += time.process_time() - started

        return timed


def cost(folder: Path, cache: Path) -> tuple[float, float]:
    """Seconds of the watcher, and of the whole training, on the base of the quickstart.

    The watcher's are those of the signals taken of the samples, of collecting them and of the six
    symptoms.
    """
    file = folder / "cost.json"
    if not file.exists():
        base = yaml.safe_load(QUICKSTART.read_text())["base"]
        scratch = folder / "cost"
        shutil.rmtree(scratch, ignore_errors=True)
        training = Training(load_config({**base, "device": "cpu"}), scratch, cache=cache)
        watch = Stopwatch()
        monitor = training.monitor
        measuring, watcher = monitor.evaluator, monitor.watcher
        started = time.process_time()
        with (
            patch.object(measuring, "_signals", watch.around(measuring._signals)),
            patch.object(monitor, "_signals", watch.around(monitor._signals)),
            patch.object(watcher, "observe", watch.around(watcher.observe)),
        ):
            while not training.finished:
                training.advance()
        file.write_text(json.dumps([watch.seconds, time.process_time() - started]))
        shutil.rmtree(scratch)
    watching, whole = json.loads(file.read_text())
    return watching, whole


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("health"))
    parser.add_argument("--failing", type=int, default=10, help="seeds of each failing GAN")
    parser.add_argument("--healthy", type=int, default=5, help="seeds of each healthy GAN")
    given = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small for more
    given.folder.mkdir(parents=True, exist_ok=True)
    cache = given.folder / "cache"

    def all_of(cases: Mapping[str, Case], seeds: int) -> dict[str, list[Run]]:
        return {
            name: [
                recorded(case, seed, given.folder / f"{name.replace(', ', '+')}-{seed}.json", cache)
                for seed in range(seeds)
            ]
            for name, case in cases.items()
        }

    failures, caught = failures_table(all_of(FAILING, given.failing))
    print(failures, flush=True)
    healthy, quiet = healthy_table(all_of(HEALTHY, given.healthy))
    print(f"\n{healthy}", flush=True)
    watching, whole = cost(given.folder, cache)
    print(f"\nThe watcher took {watching:.2f} of {whole:.1f} s: {watching / whole:.2%}.")
    return 0 if caught and quiet and watching < COST * whole else 1


if __name__ == "__main__":
    sys.exit(main())
