"""How many trials a sweep will have before any confirmation: worked out of the sweep alone.

Imports no Optuna, so that a file can be checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.search.sampler import Sampler
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, base_draw, walk


def budget_of(sweep: Sweep) -> int | None:
    """How many trials there will be before any confirmation; None where that is not known."""
    if sweep.is_ablation:
        from sweeper.search.ablation_trials import count_runs  # imports SciPy

        return count_runs(sweep)
    sampler = Sampler.of(sweep)
    count = sampler.count(_base_stands_beside(sweep)) if sampler.ends else None
    return sweep.limits.trials if count is None else count


def base_point(sweep: Sweep) -> tuple[Draw, Mapping[str, Any]]:
    """The base configuration, and its values where it is a point of the space."""
    draw = base_draw(sweep)
    try:
        whole = walk(sweep, lambda parameter: draw.values[parameter.path])
    except KeyError:
        # Some value of the base lies outside the space: the trial stands beside it.
        return Draw({}, draw.config), {}
    return Draw(whole.values, draw.config), whole.values


def _base_stands_beside(sweep: Sweep) -> bool:
    """Whether the search begins with a base configuration that is no point of its space."""
    searched = bool(sweep.parameters) and sweep.search.start_with_base
    return searched and not base_point(sweep)[1]
