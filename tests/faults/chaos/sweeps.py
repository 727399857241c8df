"""The sweeps that are tormented:

    python -m tests.faults.chaos.sweeps KIND PARALLEL TRIALS HOME [MLFLOW]

Trainings, checkpoints, pictures and measures are the real ones, on points of a ring; only each
evaluation takes a while longer, so that faults meet trials at work.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sweeper
from sweeper.scheduling.recording.events import Event
from trials.config import load_config
from trials.evaluation.results import Evaluation
from trials.trainer import Training

STEPS = (5, 10, 15, 20)
"""At which a trial is evaluated."""

SECONDS = 0.2
"""What an evaluation takes longer than it would."""

KINDS = ("search", "ablation")

TOGGLES = ("tricks.ema", "tricks.r1", "tricks.instance_noise")
CELLS = 1 + len(TOGGLES)
"""Of the ablation: all of them on, and each left out."""

BASE = {
    "data": {"name": "ring", "points": 512},
    "networks": {
        "generator": {"family": "mlp", "width": 8},
        "discriminator": {"family": "mlp", "width": 8},
    },
    "steps": STEPS[-1],
    "batch_size": 16,
    "evaluation": {"every": STEPS[0], "samples": 64, "metrics": ["fid"], "final_samples": 64},
}


def described(kind: str, parallel: int, trials: int, mlflow: str = "") -> dict[str, Any]:
    """What would stand in the file of such a sweep, with so many trials before any confirmation."""
    given: dict[str, Any] = {"name": kind, "base": BASE, "limits": {"parallel": parallel}}
    if mlflow:
        given["tracking"] = {"uri": mlflow}
    if kind == "ablation":
        given["parameters"] = {path: {"toggle": True} for path in TOGGLES}
        given["ablation"] = {"design": "leave_one_out", "seeds": trials // CELLS}
        return given
    given["parameters"] = {
        "optimizer.generator.lr": {"distribution": "log_uniform", "min": 1e-4, "max": 1e-2},
        "tricks.ema": {"toggle": True},
    }
    given["search"] = {"sampler": "tpe", "startup_trials": 4}
    given["seeds"] = {"confirm_top": 2, "replicates": 2}
    given["limits"]["trials"] = trials
    return given


class Unhurried(Training):
    """A training whose evaluations take their time."""

    def advance(self) -> Evaluation:
        time.sleep(SECONDS)
        return super().advance()


def unhurried(config: Mapping[str, Any], folder: Path, cache: Path) -> Training:
    """The factory of such trainings."""
    return Unhurried(load_config(config), folder, cache=cache)


def main(kind: str, parallel: str, trials: str, home: str, mlflow: str = "") -> int:
    """Run one to its end, or go on with it."""
    given = described(kind, int(parallel), int(trials), mlflow)
    result = sweeper.run(given, home=home, listener=_said, factory=unhurried)
    print(result.state, result.message, flush=True)
    return result.exit_code


def _said(event: Event) -> None:
    number, message = getattr(event, "number", ""), getattr(event, "message", "")
    print(type(event).__name__, number, message, flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
