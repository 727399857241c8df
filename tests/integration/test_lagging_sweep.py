"""A sweep whose evaluations are measured beside the training comes to the same decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.api import SweepResult, run
from sweeper.sweepfile import parse_sweep
from sweeper.testing.small import comparable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
]

SWEEP = """
name: lagging
base:
  data: digits
  networks: {generator: {width: 4}, discriminator: {width: 4}}
  steps: 12
  batch_size: 8
  evaluation: {every: 2, samples: 64, metrics: [fid, kid], grid: 4, final_samples: 64, lag: 0}
  device: cpu
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-4, max: 1.0e-1}
  optimizer.discriminator.lr: {distribution: log_uniform, min: 1.0e-4, max: 1.0e-1}
search: {sampler: random, seed: 0}
scheduler: {name: asha, grace_steps: 4, reduction_factor: 2}
seeds: {confirm_top: 1, replicates: 2}
limits: {trials: 6, parallel: 1}
"""


def ran(folder: Path, lag: int) -> SweepResult:
    """The sweep run to its end."""
    return run(parse_sweep(SWEEP.replace("lag: 0", f"lag: {lag}")), home=folder)


def decided(result: SweepResult) -> list[tuple[Any, ...]]:
    """What is known of each trial, and what was made of it."""
    return [
        (
            *(trial.number, trial.role, trial.of, trial.state, trial.cause, trial.objective),
            [(one.step, comparable(one.metrics)) for one in trial.evaluations],
        )
        for trial in result.trials
    ]


def test_a_lag_changes_no_value_no_verdict_and_no_winner(tmp_path: Path) -> None:
    first, other = ran(tmp_path / "0", 0), ran(tmp_path / "1", 1)
    assert first.state == other.state == "finished"
    assert any(trial.state == "pruned" for trial in first.trials)
    assert decided(other) == decided(first)
    assert first.best is not None
    assert other.best is not None
    assert other.best.number == first.best.number
    assert other.best.final == first.best.final
