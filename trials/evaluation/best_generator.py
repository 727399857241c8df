"""Which of a training's generators is the best, and so the one that is kept."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from trials.metrics.measure import Measure


def ranked_by(metrics: Mapping[str, float], keep_by: str = "auto") -> str:
    """The measure that chooses: `keep_by`, or of what was measured FID, else the first one.
    Empty where nothing was measured."""
    if keep_by != "auto":
        return keep_by
    measured = [name.partition("/")[0] for name in metrics]
    measures = [name for name in measured if name in Measure.all()]
    return "fid" if "fid" in measures else next(iter(measures), "")


def value_of(metrics: Mapping[str, float], name: str) -> float:
    """The value of a measure; the mean over its parts where it has some (`class_fid/0`, …).
    NaN where it was not measured."""
    parts = [metrics[name]] if name in metrics else []
    parts = parts or [value for key, value in metrics.items() if key.startswith(f"{name}/")]
    return statistics.fmean(parts) if parts else math.nan


def merit(metrics: Mapping[str, float], keep_by: str = "auto") -> tuple[float, float] | None:
    """How bad a generator is by that measure, the lower the better, and its FID where two are
    equal; None where it is not known."""
    name = ranked_by(metrics, keep_by)
    value = value_of(metrics, name)
    if not math.isfinite(value):
        return None
    bad = value if Measure.named(name.partition("/")[0]).better == "lower" else -value
    return bad, metrics.get("fid", math.inf)
