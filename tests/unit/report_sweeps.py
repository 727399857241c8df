"""Small sweeps for the tests of the report: a sweep of three parameters and trials of any state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sweeper.home import Home, SweepFolder
from sweeper.sweepfile import Limits, Objective, Parameter, Range, Sweep, Toggle, Values
from sweeper.trial import Evaluation, Trial

PROTOCOL = {"extractor": "digits", "fake_count": "1024", "real_count": "1797", "weights": "raw"}
STEPS = 1000

PARAMETERS = (
    Parameter("optimizer.generator.lr", Range(1e-5, 1e-2, log=True)),
    Parameter("loss", Values(("hinge", "wgan"))),
    Parameter("tricks.ema", Toggle()),
)


def sweep(*goals: str, **changes: Any) -> Sweep:
    """A sweep for FID, and with two goals for recall beside it."""
    metrics = zip(("fid", "recall"), goals or ("minimize",), strict=False)
    given: dict[str, Any] = {
        "name": "small",
        "base": {"data": {"name": "digits"}, "steps": STEPS},
        "parameters": PARAMETERS,
        "objective": tuple(Objective(metric=metric, goal=goal) for metric, goal in metrics),
        "limits": Limits(trials=4),
    }
    return Sweep(**{**given, **changes})


def trial(
    number: int,
    *values: float,
    steps: int = STEPS,
    curve: Mapping[int, float] | None = None,
    protocol: Mapping[str, str] = PROTOCOL,
    **changes: Any,
) -> Trial:
    """A trial that completed with these values, or, with none given, one that did not.

    It was last evaluated at `steps`; `curve` is its FID by step.
    """
    if curve is None:
        every = range(250, steps + 1, 250) if values else ()
        curve = {step: values[0] * STEPS / step for step in every}
    measured = {step: {"fid": value, "recall": 0.5} for step, value in curve.items()}
    if steps:
        measured.setdefault(steps, {})
    settings = {
        "optimizer.generator.lr": 10 ** (-5 + number % 7 / 2),
        "loss": ("hinge", "wgan")[number % 2],
        "tricks.ema": number % 3 == 0,
    }
    given: dict[str, Any] = {
        "number": number,
        "state": "completed" if values else "failed",
        "role": "base" if number == 0 else "search",
        "values": settings,
        "config": {"steps": STEPS, "loss": settings["loss"], "seed": number},
        "objective": values or None,
        "evaluations": tuple(
            Evaluation(step, 0.0, measured[step], protocol, samples=f"samples/{step:06d}.png")
            for step in sorted(measured)
        ),
        "started": 1_700_000_000.0 + number,
        "ended": 1_700_000_009.0 + number,
    }
    return Trial(**{**given, **changes})


def replicate(number: int, of: int, seed: int, *values: float) -> Trial:
    """Trial `of` again with another seed; failed without a value."""
    return trial(number, *values, role="replicate", of=of, config={"steps": STEPS, "seed": seed})


def folder_of(home: Path, name: str = "small") -> SweepFolder:
    folder = Home.at(home).sweep(name)
    folder.create()
    return folder


def leave_samples(folder: SweepFolder, number: int, *steps: int, shade: int = 90) -> None:
    """Grids of 3 × 4 tiles with the gaps that the trainer's grids have."""
    sheet = np.full((3 * 34 + 2, 4 * 34 + 2), 255, np.uint8)
    for row in range(3):
        for column in range(4):
            top, left = 2 + row * 34, 2 + column * 34
            sheet[top : top + 32, left : left + 32] = shade + 10 * row + column
    samples = folder.trial(number) / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    for step in steps:
        Image.fromarray(sheet).save(samples / f"{step:06d}.png")
