"""What the watcher looks at: one record of plain numbers an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol


class Samples(Protocol):
    """What the samples of one evaluation reveal; trials.metrics SampleSignals is one."""

    @property
    def diversity(self) -> float:
        """Mean pairwise feature distance over the real data's."""

    @property
    def duplicates(self) -> float:
        """Share in [0, 1] with a near duplicate."""

    @property
    def class_coverage(self) -> float | None:
        """Share in (0, 1] of the data's classes or modes; None without either."""

    @property
    def position(self) -> tuple[float, ...]:
        """Mean feature, in units of the real data's mean pairwise distance."""

    @property
    def fid_scale(self) -> float:
        """The FID of a generator that always returns the mean image."""


class Measured(Protocol):
    """One evaluation of a generator; trials.metrics Measured is one."""

    @property
    def signals(self) -> Samples | None:
        """What the samples reveal; None where they were not finite."""


@dataclass(frozen=True)
class Signals:
    """One evaluation. A number that was not measured, or is not finite, is None.

    Scores are the discriminator's raw outputs r and f, averaged since the last evaluation;
    accuracies the shares of real images with r > 0 and of generated ones with f < 0; gradients
    the norms over a player's weights. `fid_scale` is the total variance of the real features:
    the FID of a generator that always returns the mean image is about as large. The samples'
    signals are explained at `trials.metrics.evaluator.SampleSignals`.
    """

    step: int
    finite: bool
    score_real: float | None = None
    score_fake: float | None = None
    score_largest: float | None = None
    accuracy_real: float | None = None
    accuracy_fake: float | None = None
    gradient_generator: float | None = None
    gradient_discriminator: float | None = None
    fid: float | None = None
    fid_scale: float | None = None
    diversity: float | None = None
    duplicates: float | None = None
    class_coverage: float | None = None
    position: tuple[float, ...] | None = None

    @classmethod
    def collect(
        cls,
        step: int,
        finite: bool,
        metrics: Mapping[str, float],
        measured: Measured | None,
    ) -> Signals:
        """From a trainer's metrics by name and its evaluation, None where there was none."""
        samples = measured.signals if measured is not None else None
        values = {field: metrics.get(name) for field, name in METRICS.items()}
        if samples is not None:
            values |= {
                "fid_scale": samples.fid_scale,
                "diversity": samples.diversity,
                "duplicates": samples.duplicates,
                "class_coverage": samples.class_coverage,
            }
        plain = {
            field: float(value) if value is not None and math.isfinite(value) else None
            for field, value in values.items()
        }
        return cls(step, finite, **plain, position=samples.position if samples else None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        return asdict(self) | {"position": list(self.position) if self.position else None}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Signals:
        """The inverse of `as_dict`."""
        position = given["position"]
        values = {field.name: given[field.name] for field in fields(cls)}
        return cls(**(values | {"position": tuple(position) if position else None}))


METRICS = {
    "score_real": "score/real",
    "score_fake": "score/fake",
    "score_largest": "score/largest",
    "accuracy_real": "accuracy/real",
    "accuracy_fake": "accuracy/fake",
    "gradient_generator": "gradient_norm/generator",
    "gradient_discriminator": "gradient_norm/discriminator",
    "fid": "fid",
}
"""The trainer's metric behind each signal."""
