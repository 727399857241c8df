"""Made-up trainings for the watcher: a healthy one, and those that a sign's examples spoil."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trials.health import HealthConfig, Signals, Symptom, Watcher

EVALUATIONS = 28
ONSET = 8
"""The first evaluation at which a failing training shows its sign."""


def healthy(index: int) -> Signals:
    """A GAN that learns: FID falls from 60 towards 3, everything else wobbles."""
    wobble = math.sin(2.3 * index)
    fid = 3 + 57 * math.exp(-index / 4) * (1 + 0.2 * wobble)
    return Signals(
        step=100 * (index + 1),
        finite=True,
        score_real=0.5 + wobble,
        score_fake=-0.5 + wobble,
        score_largest=4 + wobble,
        accuracy_real=0.75 + 0.2 * wobble,
        accuracy_fake=0.75 - 0.2 * wobble,
        gradient_generator=1.5 + wobble,
        gradient_discriminator=2.0 + wobble,
        fid=fid,
        fid_scale=45.0,
        diversity=0.9 - 0.6 * math.exp(-index / 2),
        duplicates=0.05,
        class_coverage=0.9 - 0.6 * math.exp(-index / 2),
        position=(0.1 * wobble, fid / 100, 0.0),
    )


HEALTHY = [healthy(index) for index in range(EVALUATIONS)]


def failing(
    example: Mapping[str, Sequence[Any]], *, onset: int = ONSET, fall: float = 0.0
) -> list[Signals]:
    """A healthy beginning, then an example of a sign; its FID may `fall` at each evaluation."""
    history = HEALTHY[:onset]
    for index in range(onset, EVALUATIONS):
        shown = {field: values[index % len(values)] for field, values in example.items()}
        if fall and "fid" in shown:
            shown["fid"] = 50 - fall * index
        history.append(replace(HEALTHY[index], **shown))
    return history


def reports(history: Sequence[Signals], **health: Any) -> list[Symptom]:
    """What a watcher with these settings reports of a training."""
    watcher = Watcher(HealthConfig.model_validate(health))
    return [symptom for signals in history for symptom in watcher.observe(signals)]
