"""Trials that share one GPU as they take little of it, against one after another on all of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from sweeper.home import Home
from sweeper.scheduling import tune_loop
from sweeper.scheduling.recording.events import Event, PhaseChanged, TrialEnded
from sweeper.scheduling.run import run
from sweeper.sharing.gauges import ProcessGauge
from sweeper.sharing.shares import Taken
from sweeper.sweepfile import load_sweep

QUICKSTART = Path(__file__).parents[1] / "search_spaces/quickstart.yaml"
GIB = 2**30


def times_as_many(folder: Path, *, trials: int, steps: int) -> float:
    """How many times as many trials a sweep with `gpu: auto` runs in an hour, under MPS where that
    can be started, as one that gives each trial the GPU alone."""
    alone = _seconds(folder / "alone", trials, steps, {"gpu": 1}, parallel=1)
    shared = {"gpu": "auto", "mps": True}
    return alone / _seconds(folder / "shared", trials, steps, shared, parallel=trials)


def _seconds(
    folder: Path, trials: int, steps: int, resources: dict[str, Any], *, parallel: int
) -> float:
    """Seconds of a sweep of the quickstart's base over so many seeds: from when a worker was there
    to the last trial's end, with whatever is seen of the trials before they begin."""
    base = yaml.safe_load(QUICKSTART.read_text("utf-8"))["base"]
    sweep = {
        "name": "shared",
        "base": {**base, "steps": steps, "evaluation": {"every": steps}},
        "parameters": {"seed": {"values": list(range(trials))}},
        "search": {"sampler": "grid"},
        "limits": {"parallel": parallel},
        "resources": {"cpu": 1, **resources},
    }
    folder.mkdir()
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep), "utf-8")
    begun: list[float] = []
    ended: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, PhaseChanged) and event.phase == "searching":
            begun.append(event.time)
        elif isinstance(event, TrialEnded):
            ended.append(event.time)

    outcome = run(load_sweep(file), Home(folder / "home"), events=hear, record=False, report=False)
    if len(ended) != trials or any(one.state != "completed" for one in outcome.trials):
        raise SystemExit(f"not all trials were trained: {outcome.message}")
    return max(ended) - min(begun)


class _Pretended(ProcessGauge):
    """Has every process hold an eighth of a GPU that is not there."""

    def taken(self) -> Taken:
        return replace(super().taken(), gpu_memory=8 * GIB, gpu_total=80 * GIB, gpu_busy=0.1)


@contextlib.contextmanager
def pretended_gpu() -> Iterator[None]:
    """Inside, Ray believes that this machine has a GPU, on which trials train that use the CPU."""
    import ray

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, logging_level=logging.ERROR)
    try:
        with patch.object(tune_loop, "ProcessGauge", _Pretended):
            yield
    finally:
        ray.shutdown()
